//! The synthetic drive of the demo page: scenes of `fusionproxy-eval` behind a numeric interface, as the package's own
//! module has. One instance draws one drive at one size.
#![deny(unsafe_code)]

use std::cell::RefCell;

use fusionproxy_eval::scene::{Condition, Scene, View};

struct Drive {
    scene: Scene,
    view: View,
    visible: Vec<u8>,
    centikelvin: Vec<u16>,
}

thread_local! {
    static DRIVE: RefCell<Option<Drive>> = const { RefCell::new(None) };
}

/// Lays out the street of `seed` under the condition number `condition` (in the order of `Condition::ALL`). Gives 0, or 1
/// if there is no such condition.
#[allow(unsafe_code)] // The name is this crate's own: nothing else in the module exports it. So for all below.
#[unsafe(no_mangle)]
pub extern "C" fn drive_create(width: usize, height: usize, seed: u32, condition: usize) -> u32 {
    let Some(condition) = Condition::ALL.get(condition) else { return 1 };
    let view = View::new(width, height);
    let (visible, centikelvin) = (vec![0; view.pixels() * 3], vec![0; view.pixels()]);
    let scene = Scene::new(u64::from(seed), *condition);
    DRIVE.set(Some(Drive { scene, view, visible, centikelvin }));
    0
}

/// Draws the pair at `seconds`. Gives 0, or 1 if it cannot be drawn.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn drive_render(seconds: f64) -> u32 {
    DRIVE.with_borrow_mut(|drive| {
        let Some(Drive { scene, view, visible, centikelvin }) = drive else { return 1 };
        u32::from(scene.render(&view.at(seconds), visible, centikelvin).is_err())
    })
}

/// Address of the visible frame, RGB.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn drive_visible() -> *const u8 {
    DRIVE.with_borrow(|drive| drive.as_ref().map_or(std::ptr::null(), |d| d.visible.as_ptr()))
}

/// Address of the thermal frame, 16-bit words of hundredths of a kelvin.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn drive_centikelvin() -> *const u16 {
    DRIVE.with_borrow(|drive| drive.as_ref().map_or(std::ptr::null(), |d| d.centikelvin.as_ptr()))
}
