//! Folders and files as users have them: partners missing, names doubled, images odd or broken.
#![cfg(feature = "images")]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use fusionproxy_eval::pairs::{
    ImageError, Infrared, PairError, Pairing, Rgb8, Samples, load_infrared, load_visible,
};
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use tempfile::TempDir;

fn picture() -> RgbImage {
    RgbImage::from_fn(7, 5, |x, y| Rgb([(x * 30) as u8, (y * 50) as u8, 90]))
}

/// Stores `image` under `name` in a new folder.
fn stored(name: &str, image: impl Into<DynamicImage>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    image.into().save(&path).unwrap();
    (dir, path)
}

fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// Both loaders refuse the file, and the message names it.
fn refused(path: &Path) -> ImageError {
    let visible = load_visible(path).unwrap_err();
    let infrared = load_infrared(path).unwrap_err();
    assert_eq!(visible.to_string(), infrared.to_string());
    assert!(visible.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{visible}");
    visible
}

#[test]
fn lossless_formats_keep_every_pixel() {
    for name in ["a.png", "a.tiff", "a.bmp", "a.webp", "a.gif", "A.PNG"] {
        let (_dir, path) = stored(name, picture());
        let Rgb8 { width, height, data } = load_visible(&path).unwrap();
        assert_eq!((width, height), (7, 5));
        if name != "a.gif" {
            assert_eq!(data, picture().into_raw(), "{name}");
        }
    }
}

#[test]
fn content_decides_not_the_name() {
    let (_dir, path) = written("photo.jpg", &encoded(picture(), ImageFormat::Png));
    assert_eq!(load_visible(&path).unwrap().data, picture().into_raw());
}

#[test]
fn infrared_keeps_its_depth() {
    let (_dir, path) = stored("a.png", GrayImage::from_fn(3, 2, |x, y| Luma([(x + 10 * y) as u8])));
    let expected = Samples::Grey8(vec![0, 1, 2, 10, 11, 12]);
    assert_eq!(
        load_infrared(&path).unwrap(),
        Infrared { width: 3, height: 2, samples: expected, false_colour: false }
    );
    for name in ["b.png", "b.tiff"] {
        let words = ImageBuffer::<Luma<u16>, _>::from_fn(3, 1, |x, _| Luma([30000 + x as u16]));
        let (_dir, path) = stored(name, words);
        assert_eq!(load_infrared(&path).unwrap().samples, Samples::Grey16(vec![30000, 30001, 30002]));
    }
    // Grey stored as RGB is grey; a palette is noticed.
    let (_dir, path) = stored("c.png", RgbImage::from_fn(3, 1, |x, _| Rgb([x as u8 * 9; 3])));
    let grey = load_infrared(&path).unwrap();
    assert_eq!((grey.samples, grey.false_colour), (Samples::Grey8(vec![0, 9, 18]), false));
    let (_dir, path) = stored("d.png", RgbImage::from_pixel(3, 1, Rgb([255, 120, 0])));
    let iron = load_infrared(&path).unwrap();
    assert_eq!((iron.samples, iron.false_colour), (Samples::Grey8(vec![147; 3]), true));
    let (_dir, path) = stored("e.png", ImageBuffer::from_pixel(2, 1, Rgb([65535_u16, 0, 0])));
    assert_eq!(load_infrared(&path).unwrap().samples, Samples::Grey16(vec![19595; 2]));
}

#[test]
fn sixteen_bits_of_colour_become_eight() {
    let (_dir, path) = stored("a.png", ImageBuffer::from_pixel(2, 2, Rgb([65535_u16, 257 * 77, 0])));
    assert_eq!(load_visible(&path).unwrap().data, [255, 77, 0].repeat(4));
}

#[test]
fn alpha_is_composited_over_black() {
    let (_dir, path) = stored("a.png", ImageBuffer::from_pixel(1, 1, Rgba([200_u8, 100, 50, 128])));
    assert_eq!(load_visible(&path).unwrap().data, [100, 50, 25]);
    let (_dir, path) = stored("b.png", ImageBuffer::from_pixel(1, 1, LumaA([200_u8, 0])));
    assert_eq!(load_infrared(&path).unwrap().samples, Samples::Grey8(vec![0]));
    let (_dir, path) = stored("c.png", ImageBuffer::from_pixel(1, 1, LumaA([30000_u16, 65535])));
    assert_eq!(load_infrared(&path).unwrap().samples, Samples::Grey16(vec![30000]));
    let (_dir, path) = stored("d.png", ImageBuffer::from_pixel(1, 1, Rgba([65535_u16, 65535, 65535, 32768])));
    assert_eq!(load_visible(&path).unwrap().data, [128; 3]);
}

#[test]
fn one_pixel_is_a_picture() {
    let (_dir, path) = stored("a.jpg", RgbImage::from_pixel(1, 1, Rgb([128; 3])));
    assert_eq!(load_visible(&path).unwrap().data.len(), 3);
    assert!(matches!(load_infrared(&path).unwrap().samples, Samples::Grey8(v) if v.len() == 1));
}

#[test]
fn cmyk_jpeg_is_converted() {
    // 8x8 px of cyan 0, magenta 100 %, yellow 100 %, black 0, written by Pillow 13.0.0 with the Adobe marker.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/cmyk_red.jpg");
    let picture = load_visible(&path).unwrap();
    assert_eq!((picture.width, picture.height), (8, 8));
    let [r, g, b] = [0, 1, 2].map(|i| picture.data[i]);
    assert!(r > 220 && g < 40 && b < 40, "{r} {g} {b}");
}

#[test]
fn exif_orientation_is_applied() {
    // 16x8 px, left half white, right half black, EXIF orientation 6 (turn clockwise to show), by Pillow 13.0.0.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/turned.jpg");
    let picture = load_visible(&path).unwrap();
    assert_eq!((picture.width, picture.height), (8, 16));
    assert!(
        picture.data[..3].iter().all(|&v| v > 240)
            && picture.data[picture.data.len() - 3..].iter().all(|&v| v < 15)
    );
}

#[test]
fn animations_are_refused() {
    for name in ["animated.png", "animated.webp", "animated.gif"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
        let error = refused(&path);
        assert!(matches!(error, ImageError::Animated { .. }), "{name}: {error}");
        assert!(error.to_string().contains("extract its frames"));
    }
}

#[test]
fn broken_files_are_refused() {
    let (_dir, path) = written("empty.png", b"");
    assert!(matches!(refused(&path), ImageError::Empty { .. }));
    let (_dir, path) = written("notes.png", b"these are not pixels");
    assert!(matches!(refused(&path), ImageError::NotAnImage { .. }));
    let (dir, path) = written("a.png", b"x");
    assert!(matches!(refused(&dir.path().join("missing.png")), ImageError::Read { .. }));
    assert!(matches!(refused(dir.path()), ImageError::Read { .. }));
    drop(path);

    let large = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, (x ^ y) as u8, (x * 3 + y * 7) as u8]));
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::WebP,
        ImageFormat::Gif,
    ] {
        let whole = encoded(large.clone(), format);
        for part in [2, 3, 5, 9] {
            let cut = &whole[..whole.len() * (part - 1) / part];
            let (_dir, path) = written("cut.bin", cut);
            let error = refused(&path);
            assert!(
                matches!(error, ImageError::Damaged { .. }),
                "{format:?} cut to {}/{part}: {error}",
                part - 1
            );
        }
    }
}

#[test]
fn floating_point_is_refused() {
    let (_dir, path) =
        stored("a.tiff", DynamicImage::ImageRgb32F(ImageBuffer::from_pixel(2, 2, Rgb([0.5; 3]))));
    assert!(matches!(refused(&path), ImageError::Float { .. }));
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    // A PNG header that promises 60000x60000 px.
    let mut bytes = encoded(picture(), ImageFormat::Png);
    bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    let (_dir, path) = written("huge.png", &bytes);
    let error = refused(&path);
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    // No pixels at all.
    bytes[16..24].fill(0);
    let crc = self::crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    let (_dir, path) = written("none.png", &bytes);
    assert!(matches!(refused(&path), ImageError::Damaged { .. }));
}

/// CRC-32 of PNG chunks, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| (c >> 1) ^ if c & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// A folder of empty files.
fn folder(root: &Path, name: &str, files: &[&str]) -> PathBuf {
    let dir = root.join(name);
    fs::create_dir(&dir).unwrap();
    for file in files {
        fs::write(dir.join(file), b"").unwrap();
    }
    dir
}

#[test]
fn folders_are_paired_by_stem() {
    let root = tempfile::tempdir().unwrap();
    let vis =
        folder(root.path(), "vis", &["b.jpg", "a.PNG", "x.tif", ".hidden.png", "list.txt", "Straße 1.png"]);
    let ir = folder(root.path(), "ir", &["a.png", "b.tiff", "c.bmp", "d.webp", "Straße 1.jpg"]);
    fs::create_dir(vis.join("sub.png")).unwrap();
    let pairing = Pairing::under(root.path()).unwrap();
    assert_eq!(pairing, Pairing::of(&vis, &ir).unwrap());
    let names: Vec<&str> = pairing.pairs.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["Straße 1", "a", "b"]);
    assert_eq!(pairing.pairs[1].visible, vis.join("a.PNG"));
    assert_eq!(pairing.pairs[1].infrared, ir.join("a.png"));
    assert_eq!(pairing.only_visible, [vis.join("x.tif")]);
    assert_eq!(pairing.only_infrared, [ir.join("c.bmp"), ir.join("d.webp")]);
    assert_eq!(pairing.other, [vis.join("list.txt")]);
    let notice = pairing.notice().unwrap();
    assert!(
        notice.contains("1 visible") && notice.contains("2 infrared") && notice.contains("x.tif"),
        "{notice}"
    );
}

#[test]
fn hopeless_folders_say_why() {
    let root = tempfile::tempdir().unwrap();
    let vis = folder(root.path(), "vis", &["a.jpg", "b.jpg"]);
    let ir = folder(root.path(), "ir", &["c.jpg"]);
    let doubled = folder(root.path(), "doubled", &["a.jpg", "a.png"]);
    let empty = folder(root.path(), "empty", &[]);
    let text = |a: &Path, b: &Path| Pairing::of(a, b).unwrap_err().to_string();
    assert!(text(&vis, &ir).contains("2 images in"));
    assert!(text(&vis, &empty).contains("and 0 in"));
    assert!(text(&doubled, &vis).contains("remove or rename"));
    assert!(matches!(Pairing::of(&vis, &vis), Err(PairError::SameFolder { .. })));
    assert!(text(&vis, &root.path().join("nowhere")).contains("nowhere"));
    assert!(text(&vis.join("a.jpg"), &ir).contains("a.jpg"));
}
