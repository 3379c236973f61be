//! Pairs of frames as they come from the cameras, for a calibration.

use core::fmt::Display;

use fusionproxy_board::repeats::SameKind;
use fusionproxy_board::rig::Rig;
use fusionproxy_board::source::FrameSource;
use fusionproxy_core::colour;
use fusionproxy_core::frame::{InfraredFormat, VisibleFormat};
use fusionproxy_core::health::StatusWord;

use crate::log::RigLog;
use crate::thermal::INFRARED;
use crate::usb::PictureSender;
use crate::{VISIBLE, now_us};

/// Polls the rig for ever and sends the pairs of which both frames are good, calling `shown` after each.
pub(crate) fn run<V, I>(
    rig: &mut Rig<'_, V, I>,
    pictures: &mut PictureSender<'_>,
    mut shown: impl FnMut(),
) -> !
where
    V: FrameSource<Format = VisibleFormat, Error: SameKind + Display>,
    I: FrameSource<Format = InfraredFormat, Error: SameKind + Display>,
{
    let mut log = RigLog::new();
    loop {
        let now = now_us();
        log.note(rig.poll(now));
        let Some(picture) = pictures.try_send() else { continue };
        let taken = rig.fuse(now, |pair, _| {
            let (Some(visible), Some(infrared)) = (&pair.visible, &pair.infrared) else { return false };
            picture.status = StatusWord::pack(&pair.status);
            let rows = picture.infrared.chunks_exact_mut(2 * INFRARED.0);
            for (y, row) in rows.enumerate() {
                // Words of a PGM have their high byte first.
                for (out, word) in row.chunks_exact_mut(2).zip(infrared.row(y).chunks_exact(2)) {
                    out.copy_from_slice(&[word[1], word[0]]);
                }
            }
            picture.status.is_healthy()
                && colour::rgb(visible, 0..VISIBLE.1, &mut picture.rgb, VISIBLE.0 * 3).is_ok()
        });
        if taken == Some(true) {
            pictures.send_done();
            shown();
        }
    }
}
