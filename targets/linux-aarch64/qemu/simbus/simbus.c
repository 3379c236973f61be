// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * An I2C adapter and an SPI controller whose devices are simulated by a program.
 *
 * The program opens /dev/simbus and in turn reads a request (struct request, then the bytes that the host sends) and
 * writes an answer (struct answer, then the bytes that the host receives). While nobody has it open, the buses are those
 * of an empty socket: I2C is not acknowledged, SPI reads ones.
 */
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/i2c.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/spi/spi.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define MOST_BYTES 8192

struct request {
	u32 number;
	u32 bus; /* 0: I2C, 1: SPI */
	u32 address;
	u32 send; /* bytes that follow */
	u32 receive; /* bytes that the answer must hold */
};

struct answer {
	u32 number;
	s32 status; /* 0 or a negative errno */
};

static DEFINE_MUTEX(transfer_lock); /* one transfer at a time */
static DEFINE_MUTEX(state_lock); /* guards everything below */
static struct request request;
static u8 bytes[MOST_BYTES]; /* sent, then received */
static s32 status;
static bool is_open, is_new, is_waiting;
static DECLARE_WAIT_QUEUE_HEAD(asked);
static DECLARE_COMPLETION(answered);

/* Lets the program answer; the bytes to send lie in `bytes`, and there the received ones come. Under transfer_lock. */
static int ask(u32 bus, u32 address, u32 send, u32 receive)
{
	int result = -ENXIO;

	mutex_lock(&state_lock);
	if (is_open) {
		request = (struct request){ request.number + 1, bus, address, send, receive };
		reinit_completion(&answered);
		is_new = is_waiting = true;
		mutex_unlock(&state_lock);
		wake_up_interruptible(&asked);
		result = wait_for_completion_timeout(&answered, HZ) ? 0 : -ETIMEDOUT;
		mutex_lock(&state_lock);
		is_new = is_waiting = false;
		if (!result)
			result = status;
	}
	mutex_unlock(&state_lock);
	return result;
}

static int bus_open(struct inode *inode, struct file *file)
{
	int result = -EBUSY;

	mutex_lock(&state_lock);
	if (!is_open) {
		is_open = true;
		result = 0;
	}
	mutex_unlock(&state_lock);
	return result;
}

static int bus_release(struct inode *inode, struct file *file)
{
	mutex_lock(&state_lock);
	is_open = false;
	status = -ENXIO;
	if (is_waiting)
		complete(&answered);
	mutex_unlock(&state_lock);
	return 0;
}

static ssize_t bus_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	ssize_t result = wait_event_interruptible_timeout(asked, is_new, HZ / 4);

	if (result <= 0)
		return result ? result : -EAGAIN;
	mutex_lock(&state_lock);
	result = sizeof(request) + request.send;
	if (!is_new)
		result = -EAGAIN;
	else if (size < result)
		result = -EMSGSIZE;
	else if (copy_to_user(to, &request, sizeof(request)) ||
		 copy_to_user(to + sizeof(request), bytes, request.send))
		result = -EFAULT;
	else
		is_new = false;
	mutex_unlock(&state_lock);
	return result;
}

static ssize_t bus_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	struct answer answer;
	ssize_t result = size;

	if (size < sizeof(answer))
		return -EINVAL;
	if (copy_from_user(&answer, from, sizeof(answer)))
		return -EFAULT;
	mutex_lock(&state_lock);
	if (!is_waiting || answer.number != request.number)
		result = -ESTALE; /* the host has given up */
	else if (!answer.status && size - sizeof(answer) != request.receive)
		result = -EINVAL;
	else if (copy_from_user(bytes, from + sizeof(answer), size - sizeof(answer)))
		result = -EFAULT;
	else {
		status = answer.status;
		complete(&answered);
	}
	mutex_unlock(&state_lock);
	return result;
}

static const struct file_operations bus_operations = {
	.owner = THIS_MODULE,
	.open = bus_open,
	.release = bus_release,
	.read = bus_read,
	.write = bus_write,
};

static struct miscdevice bus_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "simbus",
	.fops = &bus_operations,
};

/* A write, a read, or a write and a read after a repeated start. */
static int i2c_transfer_messages(struct i2c_adapter *adapter, struct i2c_msg *messages, int count)
{
	struct i2c_msg *write = NULL, *read = NULL;
	int i, result;

	for (i = 0; i < count; i++) {
		struct i2c_msg **which = messages[i].flags & I2C_M_RD ? &read : &write;

		if (*which || (write == NULL && i > 0))
			return -EOPNOTSUPP;
		*which = &messages[i];
	}
	mutex_lock(&transfer_lock);
	if (write)
		memcpy(bytes, write->buf, min_t(u32, write->len, MOST_BYTES));
	result = ask(0, messages[0].addr, write ? write->len : 0, read ? read->len : 0);
	if (!result && read)
		memcpy(read->buf, bytes, read->len);
	mutex_unlock(&transfer_lock);
	return result ? result : count;
}

static u32 i2c_functions(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C;
}

static const struct i2c_algorithm i2c_algorithm = {
	.master_xfer = i2c_transfer_messages,
	.functionality = i2c_functions,
};

static const struct i2c_adapter_quirks i2c_quirks = {
	.max_write_len = MOST_BYTES,
	.max_read_len = MOST_BYTES,
};

static struct i2c_adapter adapter = {
	.owner = THIS_MODULE,
	.name = "simbus",
	.algo = &i2c_algorithm,
	.quirks = &i2c_quirks,
};

static int spi_transfer_one(struct spi_controller *controller, struct spi_device *device, struct spi_transfer *transfer)
{
	int result;

	if (transfer->len > MOST_BYTES)
		return -EMSGSIZE;
	mutex_lock(&transfer_lock);
	memset(bytes, 0, transfer->len);
	if (transfer->tx_buf)
		memcpy(bytes, transfer->tx_buf, transfer->len);
	result = ask(1, device->chip_select, transfer->len, transfer->len);
	if (result == -ENXIO) {
		/* An empty socket: the line is pulled up. */
		memset(bytes, 0xff, transfer->len);
		result = 0;
	}
	if (!result && transfer->rx_buf)
		memcpy(transfer->rx_buf, bytes, transfer->len);
	mutex_unlock(&transfer_lock);
	return result;
}

static struct platform_device *platform;
static struct spi_controller *controller;

static int __init simbus_init(void)
{
	/* A name that spidev knows. */
	struct spi_board_info board = {
		.modalias = "dh2228fv",
		.max_speed_hz = 20000000,
		.mode = SPI_MODE_3,
	};
	int result;

	platform = platform_device_register_simple("simbus", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(platform))
		return PTR_ERR(platform);
	adapter.dev.parent = &platform->dev;
	result = i2c_add_adapter(&adapter);
	if (result)
		goto no_i2c;
	controller = spi_alloc_master(&platform->dev, 0);
	result = -ENOMEM;
	if (!controller)
		goto no_spi;
	controller->bus_num = 0;
	controller->num_chipselect = 1;
	controller->mode_bits = SPI_CPOL | SPI_CPHA;
	controller->transfer_one = spi_transfer_one;
	result = spi_register_controller(controller);
	if (result) {
		spi_controller_put(controller);
		goto no_spi;
	}
	result = -ENODEV;
	if (!spi_new_device(controller, &board))
		goto no_device;
	result = misc_register(&bus_device);
	if (!result)
		return 0;
no_device:
	spi_unregister_controller(controller);
no_spi:
	i2c_del_adapter(&adapter);
no_i2c:
	platform_device_unregister(platform);
	return result;
}

static void __exit simbus_exit(void)
{
	misc_deregister(&bus_device);
	spi_unregister_controller(controller);
	i2c_del_adapter(&adapter);
	platform_device_unregister(platform);
}

module_init(simbus_init);
module_exit(simbus_exit);
MODULE_DESCRIPTION("I2C and SPI buses whose devices are simulated by a program");
MODULE_LICENSE("Dual MIT/GPL");
