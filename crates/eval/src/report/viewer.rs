//! Pictures to compare: two layers at a time, side by side, wiped or as a difference, zoomed together.

use super::text::{base64, html, json};

/// One picture of a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What it shows; layers of one name in all scenes belong together.
    pub name: String,
    /// Media type, such as `image/jpeg`.
    pub media: &'static str,
    /// The encoded file.
    pub bytes: Vec<u8>,
}

/// Pictures of one size that show the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Its name.
    pub name: String,
    /// Width, px.
    pub width: usize,
    /// Height, px.
    pub height: usize,
    /// The pictures.
    pub layers: Vec<Layer>,
}

/// The element that the page's script fills. Without scripts, the first scene's pictures are shown as they are.
pub(super) fn viewer(scenes: &[Scene]) -> String {
    let mut data = String::from("[");
    for (i, scene) in scenes.iter().enumerate() {
        data += if i > 0 { ",\n" } else { "" };
        data += &format!(
            "{{\"name\":{},\"width\":{},\"height\":{},\"layers\":{{",
            json(&scene.name),
            scene.width,
            scene.height
        );
        for (j, layer) in scene.layers.iter().enumerate() {
            data += if j > 0 { "," } else { "" };
            data +=
                &format!("{}:\"data:{};base64,{}\"", json(&layer.name), layer.media, base64(&layer.bytes));
        }
        data += "}}";
    }
    data.push(']');
    let names: Vec<String> =
        scenes.first().map_or_else(Vec::new, |s| s.layers.iter().map(|l| html(&l.name)).collect());
    format!(
        "<div class=\"viewer\"><script type=\"application/json\">{data}</script>\
         <noscript><p>Pictures ({}) need JavaScript, which is part of this file.</p></noscript></div>\n",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_embedded() {
        let layer = |name: &str| Layer { name: name.into(), media: "image/png", bytes: vec![1, 2, 3] };
        let scene = |name: &str| Scene {
            name: name.into(),
            width: 4,
            height: 2,
            layers: vec![layer("visible"), layer("</script>")],
        };
        let html = viewer(&[scene("a"), scene("b")]);
        assert_eq!(html.matches("data:image/png;base64,AQID").count(), 4);
        assert_eq!(html.matches("</script>").count(), 1);
        assert!(html.contains("\"name\":\"b\",\"width\":4,\"height\":2"));
    }
}
