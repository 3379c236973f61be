//! Names of classes, which every data set writes in its own way.

/// The 80 classes of COCO in the order of its detectors.
pub const COCO: [&str; 80] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
];

/// Names that mean the first of their row.
const ALIASES: [&[&str]; 4] = [
    &["person", "people", "pedestrian", "human"],
    &["motorcycle", "motorbike"],
    &["bicycle", "bike", "cyclist"],
    &["airplane", "aeroplane"],
];

/// Whether two names mean one class: case, surrounding space and common synonyms make no difference.
#[must_use]
pub fn same_class(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim().to_lowercase(), b.trim().to_lowercase());
    a == b || ALIASES.iter().any(|row| row.contains(&a.as_str()) && row.contains(&b.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synonyms() {
        assert!(same_class("People", "person") && same_class(" CAR", "car") && same_class("bike", "bicycle"));
        assert!(!same_class("lamp", "car") && !same_class("motorcycle", "bicycle"));
        assert_eq!((COCO[0], COCO[7], COCO[79]), ("person", "truck", "toothbrush"));
    }
}
