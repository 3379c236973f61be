//! The daemon as its users meet it: started with a configuration, asked over HTTP, told to stop; and what it says about
//! everything that can be wrong before it starts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use tempfile::TempDir;

const SIZE: (u32, u32) = (160, 120);
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with pictures and a configuration.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("visible")).expect("a folder");
        for i in 0..3u8 {
            // Red grows to the right, green downwards, blue from frame to frame.
            let picture =
                RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| image::Rgb([x as u8, y as u8 * 2, i * 80]));
            picture.save(folder.path().join(format!("visible/{i}.png"))).expect("saved");
        }
        let thermal = GrayImage::from_fn(SIZE.0, SIZE.1, |x, _| Luma([if x > 100 { 250 } else { 30 }]));
        thermal.save(folder.path().join("thermal.png")).expect("saved");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration that fuses the pictures, on a port that the system chooses, with changes.
    fn config(&self, change: impl FnOnce(String) -> String) -> PathBuf {
        let text = "threads = 1\n\
            [visible]\nsource = 'files'\npath = 'visible'\nrate = 20\n\
            [infrared]\nsource = 'files'\npath = 'thermal.png'\nrate = 20\n\
            [output.http]\nlisten = '127.0.0.1:0'\n";
        let path = self.path().join("config.toml");
        std::fs::write(&path, change(text.to_owned())).expect("written");
        path
    }

    /// Runs `--check`.
    fn check(&self, change: impl FnOnce(String) -> String) -> Output {
        daemon().arg("--check").arg(self.config(change)).output().expect("starts")
    }

    /// The message with which the daemon refuses to start.
    fn refusal(&self, code: i32, change: impl FnOnce(String) -> String) -> String {
        let output = daemon().arg(self.config(change)).output().expect("starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        // Whatever is wrong, the message names the configuration.
        assert!(text.contains("config.toml"), "{text}");
        text
    }
}

fn daemon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fusionproxyd"));
    piped(&mut command);
    command
}

fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// A daemon that runs.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(config: &Path) -> Self {
        Self::spawn(daemon().arg(config))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = piped(command).spawn().expect("starts");
        let mut log = String::new();
        let stderr = child.stderr.as_mut().expect("piped");
        let mut byte = [0];
        let address = loop {
            assert_eq!(stderr.read(&mut byte).expect("reads"), 1, "ended: {log}");
            log.push(char::from(byte[0]));
            if let Some((_, rest)) = log.split_once("preview at http://")
                && let Some((address, _)) = rest.split_once("/\n")
            {
                break address.parse().expect("an address");
            }
        };
        Self { child, address }
    }

    fn connect(&self, path: &str, host: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("sent");
        stream
    }

    /// Header and body of an answer.
    fn get(&self, path: &str) -> (String, Vec<u8>) {
        self.get_as(path, &self.address.to_string())
    }

    fn get_as(&self, path: &str, host: &str) -> (String, Vec<u8>) {
        let mut answer = Vec::new();
        self.connect(path, host).read_to_end(&mut answer).expect("answers");
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a header");
        (String::from_utf8_lossy(&answer[..end]).into_owned(), answer.split_off(end + 4))
    }

    /// The report, unless there is no place for one more connection.
    fn status(&self) -> Option<serde_json::Value> {
        let (head, body) = self.get("/status.json");
        head.starts_with("HTTP/1.1 200").then(|| serde_json::from_slice(&body).expect("JSON"))
    }

    /// Waits for a report that satisfies `is`.
    fn wait_for(&self, is: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let start = Instant::now();
        loop {
            match self.status() {
                Some(status) if is(&status) => return status,
                status => assert!(start.elapsed() < PATIENCE, "{status:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn both_ok(status: &serde_json::Value) -> bool {
    status["visible"]["state"] == "ok"
        && status["infrared"]["state"] == "ok"
        && status["frames"].as_u64() > Some(5)
}

#[test]
fn frames_status_metrics_and_page_are_served() {
    let bench = Bench::new();
    let daemon = Running::start(&bench.config(|c| c));
    let status = daemon.wait_for(both_ok);
    assert_eq!(status["size"], serde_json::json!([SIZE.0, SIZE.1]));
    assert_eq!(status["failed"], 0);

    let (head, ppm) = daemon.get("/frame.ppm");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("X-Frame: "), "{head}");
    let pixels = ppm.strip_prefix(b"P6\n160 120\n255\n").expect("a PPM of the frame's size");
    assert_eq!(pixels.len(), 160 * 120 * 3);
    // The warm half is brighter than the same place of the visible picture; both halves keep the visible colours' order.
    let mean = |from: usize, to: usize| {
        let sum: u32 = (0..120)
            .flat_map(|y| (from..to).map(move |x| (y * 160 + x) * 3 + 1))
            .map(|i| u32::from(pixels[i]))
            .sum();
        sum / (120 * (to - from) as u32)
    };
    assert!(mean(110, 160) > mean(40, 90) + 20, "{} {}", mean(110, 160), mean(40, 90));

    let (head, jpeg) = daemon.get("/frame.jpg");
    assert!(head.contains("Content-Type: image/jpeg"), "{head}");
    let picture = image::load_from_memory(&jpeg).expect("a JPEG");
    assert_eq!((picture.width(), picture.height()), SIZE);

    let metrics = String::from_utf8(daemon.get("/metrics").1).expect("text");
    for line in metrics.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("name and value");
        assert!(name.starts_with("fusionproxy_") && value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(metrics.contains("fusionproxy_sensor_up{band=\"infrared\"} 1\n"), "{metrics}");

    let page = String::from_utf8(daemon.get("/").1).expect("text");
    assert!(page.contains("/stream.mjpg"));
    assert!(daemon.get("/nothing").0.starts_with("HTTP/1.1 404"));
    // Another site's name for this address.
    assert!(daemon.get_as("/frame.jpg", "evil.example").0.starts_with("HTTP/1.1 421"));
}

#[test]
fn clients_that_take_nothing_hold_up_nobody() {
    let bench = Bench::new();
    let daemon = Running::start(&bench.config(|c| c));
    daemon.wait_for(both_ok);
    // They ask for the stream and never read it, until there is no place left. A place may still be that of an answer which
    // was given a moment ago, so how many it takes is not known to one.
    let own = daemon.address.to_string();
    let mut idle = Vec::new();
    let refused = loop {
        let (head, body) = daemon.get("/status.json");
        if head.starts_with("HTTP/1.1 503") {
            break String::from_utf8(body).expect("text");
        }
        assert!(idle.len() < 32, "{} streams have a place", idle.len());
        idle.push(daemon.connect("/stream.mjpg", &own));
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(refused.contains("close one, or come back later"), "{refused}");
    assert!(idle.len() >= 8, "only {} streams have a place", idle.len());
    drop(idle);
    let before = daemon.wait_for(|_| true)["frames"].as_u64();
    daemon.wait_for(|s| s["frames"].as_u64() > before.map(|n| n + 10));
}

/// Number of the next picture of a stream.
fn next_number(stream: &mut impl BufRead) -> u64 {
    let (mut line, mut number, mut length) = (String::new(), None, 0);
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).expect("reads") > 0, "the stream ended");
        match (line.trim_end().split_once(": "), number) {
            (Some(("Content-Length", value)), _) => length = value.parse().expect("a length"),
            (Some(("X-Frame", value)), _) => number = Some(value.parse().expect("a number")),
            (None, Some(number)) if line.trim_end().is_empty() => {
                let mut jpeg = vec![0; length];
                stream.read_exact(&mut jpeg).expect("a picture");
                return number;
            }
            _ => {}
        }
    }
}

#[test]
fn a_stream_stays_open_while_there_are_no_frames() {
    let bench = Bench::new();
    let (visible, thermal) = (bench.path().join("visible"), bench.path().join("thermal"));
    std::fs::create_dir(&thermal).expect("a folder");
    for i in 0..2 {
        std::fs::copy(bench.path().join("thermal.png"), thermal.join(format!("{i}.png"))).expect("copied");
    }
    let daemon = Running::start(&bench.config(|c| c.replace("thermal.png", "thermal")));
    daemon.wait_for(both_ok);
    let mut stream = BufReader::new(daemon.connect("/stream.mjpg", &daemon.address.to_string()));
    next_number(&mut stream);
    // Both cameras go: the last picture comes again and again.
    let away = [&visible, &thermal].map(|folder| (folder, folder.with_extension("away")));
    for (folder, away) in &away {
        std::fs::rename(folder, away).expect("renamed");
    }
    let mut last = 0;
    let mut again = 0;
    while again < 2 {
        let number = next_number(&mut stream);
        again = if number == last { again + 1 } else { 0 };
        last = number;
    }
    // A page that is opened now shows it, too.
    let mut late = BufReader::new(daemon.connect("/stream.mjpg", &daemon.address.to_string()));
    assert_eq!(next_number(&mut late), last);
    // And they come back.
    for (folder, away) in &away {
        std::fs::rename(away, folder).expect("renamed");
    }
    while next_number(&mut stream) == last {}
}

#[test]
fn a_stream_begins_with_a_picture_or_with_an_error() {
    let bench = Bench::new();
    let config = bench.config(|c| {
        let (head, rest) = c.split_once("[visible]").expect("a section");
        let (_, output) = rest.split_once("[output.http]").expect("a section");
        format!(
            "{head}[visible]\nsource = 'v4l2'\ndevice = '/dev/none0'\n\
             [infrared]\nsource = 'v4l2'\ndevice = '/dev/none1'\n[output.http]{output}"
        )
    });
    let daemon = Running::start(&config);
    // To an error a browser answers by asking again, to an empty stream it may not.
    let (head, body) = daemon.get("/stream.mjpg");
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(String::from_utf8_lossy(&body).contains("/status.json says"), "{head}");
}

#[test]
fn a_camera_that_is_absent_leaves_the_other_one_alone() {
    let bench = Bench::new();
    let lepton = "source = 'lepton'\nspi = '/dev/none0.0'\ni2c = '/dev/none-1'\n";
    let config = bench.config(|c| c.replace("source = 'files'\npath = 'thermal.png'\nrate = 20\n", lepton));
    let daemon = Running::start(&config);
    let status = daemon.wait_for(|s| s["frames"].as_u64() > Some(5) && s["infrared"]["problem"].is_string());
    assert_eq!(status["visible"]["state"], "ok");
    assert_eq!(status["infrared"]["state"], "absent");
    let problem = status["infrared"]["problem"].as_str().expect("text");
    assert!(problem.starts_with("/dev/none0.0 is not there: plug the Lepton's SPI node in"), "{problem}");
    // The frame is the visible one, bit for bit but for which of the three it is.
    let (head, ppm) = daemon.get("/frame.ppm");
    let pixels = ppm.strip_prefix(b"P6\n160 120\n255\n").expect("a PPM");
    assert_eq!(pixels[(60 * 160 + 150) * 3..][..2], [150, 120]);
    let status = head.lines().find_map(|l| l.strip_prefix("X-Status: 0x")).expect("a status");
    assert_eq!(u32::from_str_radix(status, 16).expect("a number") >> 6 & 1, 1, "visible only");
}

#[test]
fn a_fault_that_comes_again_and_again_is_logged_once() {
    let bench = Bench::new();
    // Whenever the thermal camera comes to its second picture, it fails and is opened again.
    std::fs::create_dir(bench.path().join("thermal")).expect("a folder");
    std::fs::copy(bench.path().join("thermal.png"), bench.path().join("thermal/0.png")).expect("copied");
    std::fs::write(bench.path().join("thermal/1.png"), b"no picture").expect("written");
    let mut daemon = Running::start(&bench.config(|c| c.replace("thermal.png", "thermal")));
    daemon.wait_for(|s| s["infrared"]["errors"].as_u64() > Some(5));
    daemon.child.kill().expect("killed");
    let mut log = String::new();
    daemon.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
    let lines: Vec<&str> = log.lines().filter(|l| l.contains("infrared camera:")).collect();
    let [fault, healed] = lines[..] else { panic!("{lines:#?}") };
    assert!(fault.contains("1.png: not a picture") && healed.ends_with("frames again"), "{lines:#?}");
}

#[test]
fn without_a_visible_camera_the_thermal_one_is_shown_in_grey() {
    let bench = Bench::new();
    let camera = "source = 'v4l2'\ndevice = '/dev/none0'\nsize = '160x120'\n";
    let config = bench.config(|c| c.replace("source = 'files'\npath = 'visible'\nrate = 20\n", camera));
    let daemon = Running::start(&config);
    daemon.wait_for(|s| s["frames"].as_u64() > Some(3));
    let (_, ppm) = daemon.get("/frame.ppm");
    let pixels = ppm.strip_prefix(b"P6\n160 120\n255\n").expect("a PPM");
    for (x, level) in [(20, 30), (140, 250)] {
        assert_eq!(pixels[(60 * 160 + x) * 3..][..3], [level; 3]);
    }
}

#[test]
fn frames_are_written_and_old_ones_removed() {
    let bench = Bench::new();
    let config = bench.config(|c| c + "[output.frames]\nfolder = 'out'\nkeep = 4\n");
    let daemon = Running::start(&config);
    daemon.wait_for(|s| s["frames"].as_u64() > Some(20));
    let files: Vec<PathBuf> = std::fs::read_dir(bench.path().join("out"))
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "png"))
        .collect();
    assert!((1..=5).contains(&files.len()), "{files:?}");
    drop(daemon);
    for file in std::fs::read_dir(bench.path().join("out")).expect("a folder") {
        let path = file.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "png") {
            let picture = image::open(&path).expect("a whole picture");
            assert_eq!((picture.width(), picture.height()), SIZE);
        }
    }
}

/// Names of the pictures in a folder, in order.
fn picture_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").file_name());
    let mut names: Vec<String> =
        entries.filter_map(|name| name.into_string().ok().filter(|n| n.ends_with(".png"))).collect();
    names.sort();
    names
}

#[test]
fn pairs_are_recorded_for_calibration() {
    let bench = Bench::new();
    let thermal = ImageBuffer::from_fn(80, 60, |x, y| Luma([20_000u16 + x as u16 * 300 + y as u16]));
    thermal.save(bench.path().join("thermal.png")).expect("saved");
    let config = bench.config(|c| c + "[output.pairs]\nfolder = 'pairs'\nevery = 2\nkeep = 3\n");
    let daemon = Running::start(&config);
    let (vis, ir) = (bench.path().join("pairs/vis"), bench.path().join("pairs/ir"));
    daemon.wait_for(|s| s["frames"].as_u64() > Some(20) && picture_names(&ir).len() == 3);
    drop(daemon);
    let names: Vec<String> =
        picture_names(&vis).into_iter().filter(|name| picture_names(&ir).contains(name)).collect();
    // The end may have come between the two halves of one.
    assert!((2..=3).contains(&names.len()), "{names:?}");
    for name in names {
        let visible = image::open(vis.join(&name)).expect("a picture").into_rgb8();
        let frame = visible.get_pixel(0, 0)[2] / 80;
        let shown = image::open(bench.path().join(format!("visible/{frame}.png"))).expect("a picture");
        assert_eq!(visible, shown.into_rgb8());
        let infrared = image::open(ir.join(&name)).expect("a picture");
        assert_eq!(infrared.as_luma16(), Some(&thermal));
    }
}

#[test]
fn a_full_disk_leaves_no_leftovers() {
    let bench = Bench::new();
    let config = bench.config(|c| c + "[output.frames]\nfolder = 'out'\nkeep = 4\n");
    let out = bench.path().join("out");
    std::fs::create_dir(&out).expect("a folder");
    std::fs::write(out.join("frame-1-00000000.partial"), b"of an earlier run").expect("written");
    // No file may grow beyond a block, which is less than a frame takes: every write ends in the middle.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$1\"", env!("CARGO_BIN_EXE_fusionproxyd")]);
    let daemon = Running::spawn(shell.arg(config));
    daemon.wait_for(|s| s["frames"].as_u64() > Some(20));
    let files: Vec<_> =
        std::fs::read_dir(out).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    // The one that is being written may be there.
    assert!(files.is_empty() || files == ["frame.partial"], "{files:?}");
}

#[test]
fn it_ends_in_order_when_told_to() {
    let bench = Bench::new();
    let mut daemon = Running::start(&bench.config(|c| c));
    daemon.wait_for(both_ok);
    let kill = Command::new("kill").args(["-TERM", &daemon.child.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    assert!(daemon.child.wait().expect("ends").success());
}

#[test]
fn check_says_what_is_in_order() {
    let bench = Bench::new();
    let camera = "source = 'v4l2'\ndevice = '/dev/none0'\nsize = '160x120'\n";
    let output = bench.check(|c| c.replace("source = 'files'\npath = 'visible'\nrate = 20\n", camera));
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("waiting  visible camera: /dev/none0 is not there: plug the camera in"), "{text}");
    assert!(text.contains("ok       infrared camera\n"), "{text}");
    // A file is there and no camera.
    let file = "source = 'v4l2'\ndevice = 'thermal.png'\nsize = '160x120'\n";
    let output = bench.check(|c| c.replace("source = 'files'\npath = 'visible'\nrate = 20\n", file));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("thermal.png gives no video"), "{text}");
}

#[test]
fn check_finds_nothing_wrong_while_the_daemon_runs() {
    let bench = Bench::new();
    let daemon = Running::start(&bench.config(|c| c));
    let port = daemon.address.port();
    let here = |c: String| c.replace(":0'", &format!(":{port}'"));
    let output = bench.check(here);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("ok       infrared camera\n"), "{text}");
    assert!(text.contains("busy     preview (is fusionproxyd running?): "), "{text}");
    assert!(text.contains(&format!("port {port} is in use")), "{text}");
    // A second daemon is refused all the same.
    bench.refusal(1, here);
}

#[test]
fn what_cannot_work_is_refused_with_the_remedy() {
    let bench = Bench::new();
    let says = |code, change: &dyn Fn(String) -> String, words: &[&str]| {
        let text = bench.refusal(code, change);
        for word in words {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
    };
    says(78, &|c| c.replace("[visible]", "[vissible]"), &["needs `visible`"]);
    says(
        78,
        &|c| format!("model = 'ultra'\n{c}"),
        &["`model`", "no built-in model `ultra`", "ultralight.int8"],
    );
    says(78, &|c| format!("model = 'none.fpx'\n{c}"), &["`model`", "cannot read model", "none.fpx"]);
    std::fs::write(bench.path().join("wrong.fpx"), b"no artifact at all").expect("written");
    says(78, &|c| format!("model = 'wrong.fpx'\n{c}"), &["`model`", "wrong.fpx"]);
    says(78, &|c| format!("calibration = 'none.txt'\n{c}"), &["`calibration`: cannot read", "none.txt"]);
    std::fs::write(bench.path().join("wrong.txt"), b"no calibration").expect("written");
    says(78, &|c| format!("calibration = 'wrong.txt'\n{c}"), &["wrong.txt", "line 1", "must begin with"]);
    let other = "fusionproxy calibration 1\nmodel = affine\ninfrared = 160x120\nvisible = 640x360\n\
        matrix = 4 0 0 0 3 0 0 0 1\nrms_error_px = 1\n";
    std::fs::write(bench.path().join("other.txt"), other).expect("written");
    says(78, &|c| format!("calibration = 'other.txt'\n{c}"), &["(640, 360)", "calibrate these cameras"]);
    says(78, &|c| c.replace("'thermal.png'", "'none.png'"), &["[infrared] `path`: cannot read", "none.png"]);
    std::fs::create_dir(bench.path().join("empty")).expect("a folder");
    says(78, &|c| c.replace("'visible'", "'empty'"), &["[visible] `path`:", "holds no pictures"]);
    says(78, &|c| c.replace("'thermal.png'", "'wrong.fpx'"), &["wrong.fpx", "not a picture"]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    says(
        1,
        &|c| c.replace(":0'", &format!(":{port}'")),
        &["`listen`", &format!("port {port} is in use"), "ss -ltnp"],
    );
    says(1, &|c| c.replace("127.0.0.1:0", "192.0.2.1:80"), &["no such address"]);
    says(
        1,
        &|c| c + "[output.frames]\nfolder = 'thermal.png/out'\n",
        &["[output.frames] `folder`: cannot write"],
    );
    says(
        1,
        &|c| c + "[output.pairs]\nfolder = 'thermal.png/out'\n",
        &["[output.pairs] `folder`: cannot write"],
    );
}

#[test]
fn help_has_examples() {
    let output = daemon().arg("--help").output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Examples:\n  fusionproxyd --check /etc/fusionproxy/fusionproxyd.toml"), "{text}");
}
