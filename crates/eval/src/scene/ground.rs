//! Road, kerbs, pavement, markings; and the sky.

use super::light::Lighting;
use super::math::{V3, clamp01, fbm, floor, fract, hash, mix, noise, pulse, pulses, smoothstep, unit};
use super::shape::Ray;
use super::world::{CAMERA_HEIGHT, CAMERA_X};

/// What lies behind every object in one pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backdrop {
    pub(super) rgb: V3,
    pub(super) kelvin: f32,
    z: f32,
    /// How much of a mirrored light the place shows, 0…1.
    pub(super) gloss: f32,
}

/// Half width of the carriageway to the left kerb, and the parking bays' outer edge on the right, m.
const LEFT_KERB: f32 = -4.2;
const RIGHT_KERB: f32 = 6.5;
/// Depth beyond which the ground meets the horizon.
const END: f32 = 420.0;

pub(super) fn backdrop(ray: &Ray, light: &Lighting<'_>) -> Backdrop {
    let slope = -CAMERA_HEIGHT / END;
    // A pixel-wide blend hides the horizon's steps.
    let t = clamp01(0.5 + (slope - ray.dy) / ray.pixel);
    if t <= 0.0 {
        return sky(ray, light);
    }
    let low = Ray { dy: ray.dy.min(slope), ..*ray };
    let ground = through_air(ground(&low, light), light);
    if t >= 1.0 {
        return ground;
    }
    let sky = sky(ray, light);
    Backdrop {
        rgb: sky.rgb.mix(ground.rgb, t),
        kelvin: mix(sky.kelvin, ground.kelvin, t),
        z: 0.0,
        gloss: ground.gloss * t,
    }
}

/// Aerial perspective over the backdrop's depth, in both bands.
fn through_air(b: Backdrop, light: &Lighting<'_>) -> Backdrop {
    let (rgb, kelvin) = light.through_air(b.rgb, b.kelvin, b.z);
    Backdrop { rgb, kelvin, ..b }
}

fn ground(ray: &Ray, light: &Lighting<'_>) -> Backdrop {
    let c = light.climate;
    let seed = light.world.seed;
    let z = CAMERA_HEIGHT / -ray.dy;
    let p = ray.at(z);
    let (x, s) = (p.0 + CAMERA_X, z + light.world.camera_z);
    let px = z * ray.pixel;
    let pz = z * z * ray.pixel / CAMERA_HEIGHT;

    // Textures fade to their mean where a pixel outgrows them.
    let coarse = fbm(x * 0.7, s * 0.22, seed ^ 0xa1);
    let near = 1.0 - smoothstep(0.15, 0.8, pz);
    let fine = if near > 0.0 { near * (noise(x * 9.0, s * 9.0, seed ^ 0xa2) - 0.5) } else { 0.0 };
    let close = 1.0 - smoothstep(0.03, 0.14, pz);
    let grit = if close > 0.0 { close * (noise(x * 34.0, s * 34.0, seed ^ 0xa3) - 0.5) } else { 0.0 };

    let outside = clamp01((x - RIGHT_KERB) / px + 0.5) + clamp01((LEFT_KERB - x) / px + 0.5);
    let wear = 0.5 * (coarse - 0.5) + 0.5 * fine;
    let road = Patch { x, s, z, px, pz, coarse, fine, grit, near };
    let (mut rgb, mut kelvin, mut gloss) = (V3::ZERO, 0.0, 0.0);
    if outside < 1.0 {
        (rgb, kelvin) = road.asphalt(light, wear);
        gloss = c.wet * (0.40 + 0.75 * smoothstep(0.38, 0.62, coarse));
    }
    if outside > 0.0 {
        let (pave, warm) = road.pavement(light);
        rgb = rgb.mix(pave, outside);
        kelvin = mix(kelvin, warm, outside);
        gloss = mix(gloss, c.wet * (0.1 + 0.2 * coarse), outside);
    }

    let lit = light.on(p, V3(0.0, 1.0, 0.0));
    // Sunlit ground stores the sun; shaded ground is cooler.
    if c.sun.0 > 0.3 {
        kelvin += (light.sunlit(p) - 0.6) * 5.0;
    }
    let wet = c.wet * 0.35 * (1.0 - 0.6 * outside);
    // A wet road is darker and mirrors the sky at grazing angles.
    let graze = clamp01(1.0 + ray.dy * 3.2);
    let mirror = c.sky_low * (0.45 * c.wet * graze * graze * graze * (0.5 + 0.8 * (gloss - 0.3).max(0.0)));
    Backdrop {
        rgb: rgb.tint(lit) * (1.0 - wet) + mirror,
        kelvin,
        z,
        gloss: clamp01(gloss * (0.8 + 0.9 * fine)),
    }
}

/// A spot of ground: place across and along the street, depth, pixel sizes across and along (m), and its textures.
struct Patch {
    x: f32,
    s: f32,
    z: f32,
    px: f32,
    pz: f32,
    coarse: f32,
    fine: f32,
    grit: f32,
    near: f32,
}

impl Patch {
    /// Carriageway with its markings: albedo and temperature.
    fn asphalt(&self, light: &Lighting<'_>, wear: f32) -> (V3, f32) {
        let &Self { x, s, z, px, pz, coarse, fine, grit, near } = self;
        let c = light.climate;
        // Polished, and warmed, where tyres run.
        let lane = ((x.abs() - 2.0).abs() - 0.75).abs();
        let tracks = clamp01((0.22 - lane) / px.max(0.2) + 0.5);
        let mut rgb =
            V3(0.078, 0.079, 0.083) * (0.74 + 0.5 * coarse + 0.30 * fine + 0.34 * grit - 0.10 * tracks);
        let mut kelvin = c.road + 1.1 * (coarse - 0.5) + 0.5 * tracks + 0.5 * fine;
        if x.abs() < 0.4 + px {
            // Bitumen seam along the middle.
            let wander = 0.32 * (noise(s * 0.4, 3.0, light.world.seed) - 0.5);
            rgb = rgb * (1.0 - 0.45 * near * pulse(x - wander, 0.12, 0.20, px));
        }
        let mut paint = 0.0;
        if x.abs() < 0.1 + px {
            paint += pulse(x, -0.075, 0.075, px) * pulses(s, 6.0, 0.0, 3.0, pz);
        }
        if x < LEFT_KERB + 0.5 + px {
            paint += pulse(x, LEFT_KERB + 0.28, LEFT_KERB + 0.42, px);
        }
        if (x - 4.24).abs() < 0.1 + px {
            paint += pulse(x, 4.18, 4.30, px) * pulses(s, 1.2, 0.0, 0.7, pz);
        }
        for q in light.world.zebras {
            let across = pulse(z, q - 1.7, q + 1.7, pz);
            if across > 0.0 {
                let bars = pulses(x, 1.0, 0.0, 0.5, px) * pulse(x, LEFT_KERB + 0.1, RIGHT_KERB - 0.1, px);
                paint = mix(paint, bars, across);
            }
        }
        let paint = clamp01(paint) * clamp01(0.74 + wear);
        // Paint reflects the sun and cools faster.
        kelvin -= 1.3 * paint;
        (rgb.mix(V3(0.52, 0.51, 0.48), paint), kelvin)
    }

    /// Kerb stones, slabs and the green strip along the fronts: albedo and temperature.
    fn pavement(&self, light: &Lighting<'_>) -> (V3, f32) {
        let &Self { x, s, px, pz, coarse, fine, grit, near, .. } = self;
        let c = light.climate;
        let edge = if x > 0.0 { x - RIGHT_KERB } else { LEFT_KERB - x };
        let (mut joints, mut slab) = (0.0, 0.0);
        if near > 0.0 {
            joints = near * clamp01(pulses(s, 0.6, 0.0, 0.02, pz) + pulses(x, 0.6, 0.0, 0.02, px));
            slab = near * (unit(hash(floor(x / 0.6), floor(s / 0.6), light.world.seed)) - 0.5);
        }
        let mut rgb = V3(0.205, 0.195, 0.178)
            * ((0.78 + 0.40 * coarse + 0.16 * slab + 0.22 * fine + 0.16 * grit) * (1.0 - 0.35 * joints));
        let mut kelvin = c.pavement + 0.9 * (coarse - 0.5) + 0.35 * slab - 0.3 * joints;
        if edge < 0.3 + px {
            let kerb = pulse(edge, 0.0, 0.24, px);
            rgb = rgb.mix(V3(0.26, 0.255, 0.24) * (0.8 + 0.35 * coarse), kerb);
            // The upright face of the kerb.
            rgb = rgb * (1.0 - 0.55 * pulse(edge, -0.06, 0.05, px));
            kelvin += 0.5 * kerb;
        }
        let verge = clamp01((edge - 2.95) / px.max(0.05) + 0.5);
        if verge > 0.0 {
            let green = V3(0.062, 0.098, 0.034) * (0.65 + 0.5 * coarse + 0.7 * fine + 0.5 * grit);
            rgb = rgb.mix(green, verge);
            kelvin = mix(kelvin, c.grass + 1.6 * (coarse - 0.5) + 0.8 * fine, verge);
        }
        (rgb, kelvin)
    }
}

fn sky(ray: &Ray, light: &Lighting<'_>) -> Backdrop {
    let c = light.climate;
    let seed = light.world.seed;
    let up = ray.dy.max(0.0);
    let rise = clamp01(up * 2.0);
    let mut rgb = c.sky_low.mix(c.sky_top, smoothstep(0.0, 1.0, rise).sqrt());
    let mut kelvin = mix(c.horizon, c.zenith, rise.sqrt());
    if c.cloud > 0.0 {
        let k = 1.0 / (up + 0.09);
        let f = fbm(ray.dx * k * 0.75 + 9.0, k * 0.55, seed ^ 0xc1);
        let veil = smoothstep(0.42, 0.74, f) * smoothstep(0.0, 0.12, up);
        let white = c.sky_low * 0.75 + (c.sun + c.ambient) * 0.22;
        rgb = rgb.mix(white, veil * 0.8 * c.cloud);
        kelvin += 15.0 * veil * c.cloud;
    }
    // Beyond the street: roofs and trees on the horizon.
    let bumps = 0.016
        + 0.030 * noise(ray.dx * 9.0, 1.0, seed ^ 0xc2)
        + 0.012 * noise(ray.dx * 42.0, 2.0, seed ^ 0xc3);
    let ridge = clamp01(0.5 + (bumps - ray.dy) / ray.pixel);
    if ridge > 0.0 {
        let shade = V3(0.055, 0.065, 0.060).tint(c.ambient + c.sun * 0.2);
        let clear = libm::expf(-c.extinction * 160.0);
        rgb = rgb.mix(c.haze.mix(shade, clear), ridge);
        kelvin = mix(kelvin, c.foliage - 1.5, ridge);
        if c.windows > 0.0 {
            let (gx, gy) = (ray.dx * 150.0, ray.dy * 150.0);
            let h = hash(floor(gx), floor(gy), seed ^ 0xc4);
            let (u, v) = (fract(gx) - 0.5, fract(gy) - 0.5);
            let dot = 1.0 - smoothstep(0.10, 0.42, (u * u + v * v).sqrt());
            if unit(h) < 0.12 && ray.dy < bumps - 0.006 {
                rgb += V3(0.9, 0.6, 0.3) * (dot * 0.25 * ridge * unit(h.rotate_left(7)));
            }
        }
    }
    if c.glare > 0.0 {
        // The sun's disc is hot in the thermal band too, and small.
        let (u, v) = (ray.dx - c.sun_dir.0 / c.sun_dir.2, ray.dy - c.sun_dir.1 / c.sun_dir.2);
        kelvin += 60.0 * (1.0 - smoothstep(0.010, 0.022, (u * u + v * v).sqrt()));
    }
    Backdrop { rgb, kelvin, z: 0.0, gloss: 0.0 }
}
