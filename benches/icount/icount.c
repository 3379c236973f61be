/* A plugin for QEMU that prints how many instructions the guest executed: `qemu-aarch64 -plugin libicount.so -d plugin PROGRAM`.
 *
 * Debian's qemu-user can load plugins and ships no header for them; these are the declarations of QEMU 7.2's API, version 1. */

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t id_t_;
struct tb;

enum { ADD_U64 = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(id_t_ id, void (*translated)(id_t_, struct tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *block, int operation, void *counter, uint64_t value);
void qemu_plugin_register_atexit_cb(id_t_ id, void (*ended)(id_t_, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct tb *block);
void qemu_plugin_outs(const char *text);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t instructions;

static void translated(id_t_ id, struct tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &instructions, qemu_plugin_tb_n_insns(block));
}

static void ended(id_t_ id, void *data)
{
    char line[64];
    (void)id;
    (void)data;
    snprintf(line, sizeof line, "instructions %" PRIu64 "\n", instructions);
    qemu_plugin_outs(line);
}

__attribute__((visibility("default"))) int qemu_plugin_install(id_t_ id, const void *info, int count, char **words)
{
    (void)info;
    (void)count;
    (void)words;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
