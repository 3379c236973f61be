//! Judging a frozen object detector on fused frames: does a network that was trained on RGB still find what is there?
//!
//! * [`Letterbox`] brings a frame to the detector's input and boxes back.
//! * [`Head`] reads the raw output of a YOLOX or YOLOv8 network.
//! * [`suppress`] removes overlapping boxes; [`score`] gives AP50 and recall against [`Label`]s.
//!
//! Running the network is the caller's part.

mod area;
mod classes;
mod head;
mod label;
mod letterbox;
mod score;

pub use area::{Area, Detection, suppress};
pub use classes::{COCO, same_class};
pub use head::{Head, HeadError};
pub use label::{Label, LabelError, parse_labels};
pub use letterbox::{Anchor, Letterbox};
pub use score::{DetectionScores, Judged, RECALL_SCORE, score};
