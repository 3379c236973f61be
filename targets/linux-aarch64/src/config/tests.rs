//! What the schema accepts and what it says about the rest.

use super::*;

const PATH: &str = "/etc/fusionproxy/fusionproxyd.toml";

const LEAST: &str = "
[visible]
source = 'v4l2'
device = '/dev/video0'
[infrared]
source = 'lepton'
spi = '/dev/spidev0.0'
i2c = '/dev/i2c-1'
";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new(PATH), text).map_err(|e| e.to_string())
}

/// The error of a text, which must name the file.
fn error(text: &str) -> String {
    let error = parse(text).expect_err("an error");
    error.strip_prefix(PATH).unwrap_or_else(|| panic!("`{error}` does not begin with the file")).to_owned()
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = parse(LEAST).expect("valid");
    assert_eq!(config.model, ModelChoice::BuiltIn("ultralight".to_owned()));
    assert_eq!(config.http, Some("127.0.0.1:8437".parse().expect("an address")));
    assert_eq!((config.jpeg_quality, config.tolerance_us), (85, 60_000));
    assert!(config.loopback.is_none() && config.frames.is_none() && config.calibration.is_none());
    assert!(config.pairs.is_none());
    let Visible::V4l2(visible) = config.visible else { panic!("{:?}", config.visible) };
    assert_eq!((visible.size, visible.format, visible.rate), ((640, 480), V4l2Format::Yuyv, 30));
    let Infrared::Lepton(lepton) = config.infrared else { panic!("{:?}", config.infrared) };
    assert_eq!(lepton.spi_hz, 20_000_000);
    assert_eq!(
        lepton.settings,
        fusionproxy_board::lepton::Settings::new(fusionproxy_board::lepton::Model::Lepton3)
    );
}

#[test]
fn the_configuration_of_the_package_is_valid() {
    parse(include_str!("../../fusionproxyd.toml")).expect("valid");
}

#[test]
fn every_key_is_read() {
    let config = parse(
        "model = 'student.fpx'
         threads = 2
         calibration = 'rig.txt'
         tolerance_ms = 40
         [visible]
         source = 'files'
         path = 'visible'
         rate = 5
         [infrared]
         source = 'v4l2'
         device = '/dev/video2'
         format = 'dual-frame'
         [gain]
         curve = 'linear'
         min_span = 64
         time_constant_frames = 0
         low_tail_permille = 1
         high_tail_permille = 2
         [output]
         jpeg_quality = 70
         [output.http]
         listen = 'off'
         [output.loopback]
         device = '/dev/video10'
         [output.frames]
         folder = 'out'
         format = 'jpeg'
         every = 9
         keep = 3
         [output.pairs]
         folder = 'pairs'
         every = 2
         keep = 7",
    )
    .expect("valid");
    // Relative paths start at the file's folder.
    assert_eq!(config.model, ModelChoice::File("/etc/fusionproxy/student.fpx".into()));
    assert_eq!(config.calibration, Some("/etc/fusionproxy/rig.txt".into()));
    assert_eq!((config.threads, config.tolerance_us, config.jpeg_quality), (Some(2), 40_000, 70));
    assert_eq!((config.http, config.loopback), (None, Some("/dev/video10".into())));
    let Visible::Files(visible) = config.visible else { panic!("{:?}", config.visible) };
    assert_eq!((visible.path, visible.rate), ("/etc/fusionproxy/visible".into(), 5));
    let Infrared::V4l2(infrared) = config.infrared else { panic!("{:?}", config.infrared) };
    assert_eq!((infrared.size, infrared.format, infrared.rate), ((256, 192), ThermalFormat::DualFrame, 25));
    assert_eq!((config.gain.curve, config.gain.min_span), (Curve::Linear, 64));
    let frames = config.frames.expect("frames");
    assert_eq!((frames.format, frames.every, frames.keep), (FrameFormat::Jpeg, 9, 3));
    let pairs = config.pairs.expect("pairs");
    assert_eq!((pairs.folder, pairs.every, pairs.keep), ("/etc/fusionproxy/pairs".into(), 2, 7));
}

#[test]
fn unknown_keys_and_words_are_refused_with_the_nearest() {
    let with = |line: &str| LEAST.replace("[infrared]", &format!("{line}\n[infrared]"));
    assert_eq!(
        error(&with("divice = 'x'")),
        ":5: [visible] has no key `divice`, did you mean `device`?; it has source, device, size, format, rate"
    );
    assert_eq!(
        error(&with("format = 'yuvy'")),
        ":5: [visible] `format` is `yuvy`, did you mean `yuyv`?; it can be yuyv, mjpeg, nv12, rgb, bgr, grey"
    );
    assert!(
        error(&format!("modell = 'x'\n{LEAST}"))
            .starts_with(":1: the top level has no key `modell`, did you mean `model`?")
    );
    assert!(error(&format!("{LEAST}[outputs.http]")).contains("did you mean `output`?"));
    assert!(
        error(&format!("{LEAST}[output.htp]"))
            .contains(":9: [output] has no key `htp`, did you mean `http`?")
    );
    assert_eq!(
        error(&format!("{LEAST}[output.pairs]\nformat = 'png'\nfolder = 'x'")),
        ":10: [output.pairs] has no key `format`; it has folder, every, keep"
    );
    // Nothing near: no guess.
    assert!(error(&with("brightness = 1")).starts_with(":5: [visible] has no key `brightness`; it has"));
    // A key of another source is not one of this.
    assert!(error(&with("spi = '/dev/spidev0.0'")).contains("[visible] has no key `spi`"));
}

#[test]
fn wrong_values_are_refused_with_what_is_right() {
    let with = |line: &str| LEAST.replace("[infrared]", &format!("{line}\n[infrared]"));
    assert_eq!(
        error(&with("size = '640*480'")),
        ":5: [visible] `size` is `640*480`; write width x height in px, each from 16 to 4096, as `640x480`"
    );
    assert!(error(&with("size = '0x480'")).contains("from 16 to 4096"));
    assert!(error(&with("rate = 0")).ends_with("`rate` is a whole number from 1 to 240, not 0"));
    assert!(error(&with("rate = -1")).ends_with("not -1"));
    assert!(error(&with("rate = 9999999999999999999999")).contains("from 1 to 240"));
    assert!(error(&with("rate = 30.0")).ends_with("not of type float"));
    assert!(error(&with("size = 640")).ends_with("`size` is text in quotes, not of type integer"));
    assert!(
        error(&format!("{LEAST}[output.http]\nlisten = 'localhost'"))
            .contains("write an address with a port")
    );
    assert!(error(&format!("output = 1\n{LEAST}")).contains("`output` is a table, written [output]"));
}

#[test]
fn a_clock_that_a_lepton_outruns_is_refused_with_the_reason() {
    let lepton = |lines: &str| format!("{LEAST}{lines}");
    assert_eq!(
        error(&lepton("spi_hz = 11_999_999")),
        ":9: [infrared] `spi_hz` is a whole number from 12000000 to 20000000, not 11999999: \
         a Lepton 3.x sends 8.5 Mbit/s, and the bus rests between two reads"
    );
    assert!(
        error(&lepton("model = 'lepton2'\nspi_hz = 1_000_000"))
            .ends_with("from 3000000 to 20000000, not 1000000: a Lepton 2.x sends 2.2 Mbit/s, and the bus rests between two reads")
    );
    for (lines, hz) in
        [("spi_hz = 12_000_000", 12_000_000), ("model = 'lepton2'\nspi_hz = 3_000_000", 3_000_000)]
    {
        let Infrared::Lepton(lepton) = parse(&lepton(lines)).expect("valid").infrared else {
            panic!("a Lepton")
        };
        assert_eq!(lepton.spi_hz, hz);
    }
}

#[test]
fn missing_keys_are_named_with_an_example() {
    assert!(error("").contains("needs `visible`: add a table [visible]"));
    assert_eq!(
        error(&LEAST.replace("device =", "#")),
        ":2: [visible] needs `device`: add `device = \"/dev/video0\"`"
    );
    assert_eq!(
        error(&format!("{LEAST}[output.pairs]")),
        ":9: [output.pairs] needs `folder`: add `folder = \"/var/lib/fusionproxy/pairs\"`"
    );
    assert!(error(&LEAST.replace("source = 'lepton'", "")).contains("with one of lepton, v4l2, files"));
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    assert!(error("a = 1\nb = = 2").starts_with(":2: not valid TOML: "));
    assert!(error("a = 1\na = 2").starts_with(":2: not valid TOML: "));
    let missing = Config::read(Path::new("/nowhere/x.toml")).expect_err("an error").to_string();
    assert!(missing.starts_with("/nowhere/x.toml: cannot read the configuration: "), "{missing}");
}
