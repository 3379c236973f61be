//! A walking person: a soft union of capsules in the plane that faces the camera.

use super::climate::Climate;
use super::light::Lighting;
use super::math::{V3, capsule, clamp01, cover, draw, ellipse, mix, noise, smoothstep};
use super::shape::{Ray, Surface};

/// Which way a person walks, seen from the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gait {
    Away,
    Toward,
    Left,
    Right,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    id: u32,
    at: V3,
    /// Metres per unit of the 1.75 m model.
    scale: f32,
    fade: f32,
    profile: bool,
    face: f32,
    /// Leg and arm ends: `[foot, knee, hand, elbow]` for each side, model units.
    limbs: [[[f32; 2]; 4]; 2],
    bob: f32,
    coat: bool,
    bag: f32,
    jacket: V3,
    trousers: V3,
    skin: V3,
    hair: V3,
    cloth: f32,
    leg: f32,
}

const TROUSERS: [V3; 4] =
    [V3(0.028, 0.034, 0.055), V3(0.020, 0.020, 0.022), V3(0.075, 0.065, 0.052), V3(0.040, 0.052, 0.082)];
const JACKETS: [V3; 7] = [
    V3(0.024, 0.026, 0.032),
    V3(0.050, 0.060, 0.085),
    V3(0.23, 0.050, 0.042),
    V3(0.085, 0.082, 0.075),
    V3(0.060, 0.095, 0.068),
    V3(0.32, 0.27, 0.20),
    V3(0.045, 0.10, 0.19),
];
const SKINS: [V3; 3] = [V3(0.52, 0.33, 0.24), V3(0.36, 0.20, 0.13), V3(0.15, 0.075, 0.045)];

impl Person {
    pub(super) fn new(id: u32, at: V3, gait: Gait, time: f64, fade: f32, climate: &Climate) -> Self {
        let tempo = 5.4 + 1.2 * f64::from(draw(id, 20));
        let phase = time * tempo + f64::from(draw(id, 21)) * core::f64::consts::TAU;
        let swing = libm::sin(phase) as f32;
        let lift = libm::cos(phase) as f32;
        let profile = matches!(gait, Gait::Left | Gait::Right);
        let ahead = if gait == Gait::Left { -1.0 } else { 1.0 };
        let mut limbs = [[[0.0; 2]; 4]; 2];
        for (i, limb) in limbs.iter_mut().enumerate() {
            let side = if i == 0 { 1.0 } else { -1.0 };
            let s = swing * side;
            let l = (lift * side).max(0.0);
            *limb = if profile {
                // The leg behind bends; arms swing against the legs.
                let back = (-s).max(0.0);
                [
                    [ahead * (0.30 * s - 0.06 * l), 0.045 + 0.10 * back * 0.9 + 0.05 * l],
                    [ahead * (0.17 * s + 0.05 + 0.05 * l), 0.49 + 0.02 * l],
                    [ahead * (-0.22 * s + 0.05), 0.84 + 0.05 * s.abs()],
                    [ahead * (-0.12 * s - 0.03), 1.10],
                ]
            } else {
                [
                    [side * 0.10, 0.045 + 0.07 * l],
                    [side * 0.105, 0.49 + 0.025 * l],
                    [side * (0.265 + 0.012 * s), 0.83 + 0.03 * s],
                    [side * 0.255, 1.10],
                ]
            };
        }
        let pick = |n: i32, len: usize| ((draw(id, n) * len as f32) as usize).min(len - 1);
        let cloth = climate.cloth + 2.6 * (draw(id, 5) - 0.5);
        Self {
            id,
            at,
            scale: mix(0.93, 1.06, draw(id, 1)),
            fade,
            profile,
            face: match gait {
                Gait::Away => -1.0,
                Gait::Toward => 1.0,
                Gait::Left | Gait::Right => 0.0,
            },
            limbs,
            bob: 0.018 * lift.abs(),
            coat: draw(id, 2) < 0.4,
            bag: if draw(id, 3) < 0.35 { if draw(id, 4) < 0.5 { -1.0 } else { 1.0 } } else { 0.0 },
            jacket: JACKETS[pick(6, JACKETS.len())],
            trousers: TROUSERS[pick(7, TROUSERS.len())],
            skin: SKINS[pick(8, SKINS.len())],
            hair: V3(0.030, 0.020, 0.014).mix(V3(0.14, 0.09, 0.045), draw(id, 9) * draw(id, 10)),
            cloth,
            leg: cloth - 0.4 - 0.11 * (305.0 - climate.air).max(0.0) * draw(id, 11),
        }
    }

    pub(super) fn hit(&self, ray: &Ray, light: &Lighting<'_>) -> Option<Surface> {
        let z = self.at.2;
        let k = 1.0 / self.scale;
        let u = (ray.dx * z - self.at.0) * k;
        let p = ray.at(z);
        let v = p.1 * k - self.bob;
        let px = z * ray.pixel * k;
        let wide = if self.profile { 0.50 } else { 0.40 };
        if u.abs() > wide + px || v > 1.79 + px {
            return None;
        }
        let parts = self.parts(u, v);
        let d = parts.iter().copied().fold(f32::MAX, f32::min);
        let cov = cover(d, px) * self.fade;
        if cov <= 0.0 {
            return None;
        }
        // Softly weighted materials: the nearer inside a part, the more it counts; parts blend over a pixel.
        let (albedo, kelvin) = self.material(&parts, u, v, px);
        let round = clamp01(-d * 7.0);
        // A rounded body: the normal leans outwards near the silhouette.
        let lean = (1.0 - round) * if u < 0.0 { -0.7 } else { 0.7 };
        let n = V3(lean, 0.15, -(1.0 - lean * lean - 0.0225).max(0.0).sqrt());
        let lit = light.on(V3(p.0, p.1, z - 0.1), n);
        let rgb = albedo.tint(lit) * mix(0.72, 1.0, round);
        Some(Surface { cover: cov, rgb, kelvin, z })
    }

    /// Signed distances: head, hair, torso, arms, hands, legs, shoes, bag.
    fn parts(&self, u: f32, v: f32) -> [f32; 8] {
        let headx = if self.profile { 0.02 * self.limbs[0][0][0].signum() } else { 0.0 };
        let head = ellipse(u - headx, v - 1.625, 0.092, 0.122).min(capsule(
            u,
            v,
            [0.0, 1.44],
            [headx, 1.56],
            0.055,
            0.05,
        ));
        let cap = ellipse(u - headx, v - 1.65, 0.099, 0.118);
        let hair = if self.face < 0.0 { cap.max(1.57 - v) } else { cap.max(1.665 - v) };
        let half = if self.profile { 0.105 } else { 0.165 };
        let mut torso = capsule(u, v, [0.0, 1.34], [0.0, 1.02], half * 0.98, half * 0.86);
        if !self.profile {
            // Shoulders.
            torso = torso.min(capsule(u, v, [-0.135, 1.40], [0.135, 1.40], 0.072, 0.072));
        }
        if self.coat {
            torso = torso.min(capsule(u, v, [0.0, 1.05], [0.0, 0.68], half * 0.95, half * 1.08));
        }
        let (mut arms, mut hands, mut legs, mut shoes) = (f32::MAX, f32::MAX, f32::MAX, f32::MAX);
        for (i, [foot, knee, hand, elbow]) in self.limbs.iter().enumerate() {
            let side = if i == 0 { 1.0 } else { -1.0 };
            let hip = if self.profile { [0.0, 0.90] } else { [side * 0.085, 0.90] };
            let shoulder = if self.profile { [0.0, 1.38] } else { [side * 0.185, 1.40] };
            legs = legs.min(capsule(u, v, hip, *knee, 0.088, 0.062)).min(capsule(
                u,
                v,
                *knee,
                [foot[0], foot[1] + 0.04],
                0.060,
                0.043,
            ));
            let toe =
                if self.profile { 0.13 * (knee[0] - foot[0] + 0.02).signum().max(-1.0) } else { side * 0.02 };
            shoes = shoes.min(capsule(u, v, *foot, [foot[0] + toe, foot[1] - 0.01], 0.050, 0.036));
            arms = arms
                .min(capsule(u, v, shoulder, *elbow, 0.056, 0.047))
                .min(capsule(u, v, *elbow, *hand, 0.046, 0.037));
            hands = hands.min(capsule(u, v, *hand, [hand[0], hand[1] - 0.07], 0.036, 0.030));
        }
        let bag = if self.bag == 0.0 {
            f32::MAX
        } else {
            ellipse(u - self.bag * if self.profile { 0.14 } else { 0.24 }, v - 1.12, 0.10, 0.17)
        };
        [head, hair, torso, arms, hands, legs, shoes, bag]
    }

    fn material(&self, parts: &[f32; 8], u: f32, v: f32, px: f32) -> (V3, f32) {
        let fold = noise(u * 9.0, v * 6.0 + 31.0, self.id) - 0.5;
        let fine = noise(u * 22.0, v * 17.0, self.id ^ 5) - 0.5;
        let warm_core = 1.0 - smoothstep(0.0, 0.16, (u * u + (v - 1.30) * (v - 1.30)).sqrt());
        let cold_hem = smoothstep(0.9, 0.1, v);
        let torso = self.cloth + 1.3 * warm_core + 2.2 * fold;
        // Warmest where skin shows: around the eyes, and the neck.
        let eyes = 1.0 - smoothstep(0.0, 0.09, (u * u * 0.5 + (v - 1.62) * (v - 1.62)).sqrt());
        let cooling = (300.0 - self.cloth).max(0.0);
        let skin = 305.4 - 0.10 * cooling + 0.9 * eyes;
        let materials: [(V3, f32); 8] = [
            (self.skin, skin),
            (self.hair, skin - 2.0 - 0.42 * cooling),
            (self.jacket * (1.0 + 0.5 * fold), torso),
            (self.jacket * (0.86 + 0.5 * fold), self.cloth - 0.9 + 1.6 * fine),
            (self.skin * 0.9, skin - 1.0 - 0.20 * cooling),
            (self.trousers * (1.0 + 0.4 * fold), self.leg - 1.2 * cold_hem + 1.8 * fold),
            (V3(0.03, 0.028, 0.026), self.leg - 3.0),
            (V3(0.06, 0.05, 0.045), self.cloth - 5.0),
        ];
        // Painter's order inside the figure, with pixel-wide seams.
        let order = [5_usize, 6, 3, 4, 2, 0, 1, 7];
        let (mut albedo, mut kelvin, mut any) = (V3::ZERO, 0.0, false);
        for i in order {
            let c = cover(parts[i], px.max(0.006));
            if c <= 0.0 {
                continue;
            }
            let (a, t) = materials[i];
            if any {
                albedo = albedo.mix(a, c);
                kelvin = mix(kelvin, t, c);
            } else {
                (albedo, kelvin, any) = (a, t, true);
            }
        }
        (albedo, kelvin)
    }
}
