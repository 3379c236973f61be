//! Programs on Vulkan, through wgpu: any GPU, or Mesa's lavapipe where there is none.

use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use wgpu::util::{BufferInitDescriptor, DeviceExt};

use crate::{Capabilities, Options, Program, Resource, Role};

/// Why a program did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No Vulkan driver offers an adapter.
    #[error("no Vulkan adapter: install a GPU's driver, or Mesa's lavapipe (Debian: mesa-vulkan-drivers)")]
    NoAdapter(#[from] wgpu::RequestAdapterError),
    /// The adapter gives no device.
    #[error("the adapter {adapter} gives no device: {source}")]
    NoDevice {
        /// Its name.
        adapter: String,
        /// Why.
        source: wgpu::RequestDeviceError,
    },
    /// A shader, a binding or an allocation was refused.
    #[error("the device refused the program: {0}")]
    Refused(#[from] wgpu::Error),
    /// A frame has another size than the program's.
    #[error("the {frame} frame has {found} bytes, needs {needed}")]
    Length {
        /// Which.
        frame: &'static str,
        /// Bytes given.
        found: usize,
        /// Bytes of the program's frame.
        needed: usize,
    },
    /// The device was lost, or did not finish.
    #[error("the device did not finish a frame ({0}): open it anew")]
    Lost(String),
}

/// An open device.
pub struct Device {
    device: wgpu::Device,
    queue: wgpu::Queue,
    name: String,
}

/// The result of a future of wgpu's, which on native devices is there at once or after a little waiting of the driver's.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

impl Device {
    /// Opens the fastest Vulkan adapter with all that it offers.
    ///
    /// # Errors
    /// [`DeviceError`] if there is no adapter or it gives no device.
    pub fn open() -> Result<Self, DeviceError> {
        let mut instance = wgpu::InstanceDescriptor::new_without_display_handle();
        instance.backends = wgpu::Backends::VULKAN;
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = ready(wgpu::Instance::new(instance).request_adapter(&options))?;
        let name = adapter.get_info().name;
        let (device, queue) = ready(adapter.request_device(&wgpu::DeviceDescriptor {
            required_features: adapter.features() & wgpu::Features::SHADER_F16,
            required_limits: adapter.limits(),
            ..Default::default()
        }))
        .map_err(|source| DeviceError::NoDevice { adapter: name.clone(), source })?;
        Ok(Self { device, queue, name })
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to compile programs for.
    pub fn capabilities(&self) -> Capabilities {
        let limits = self.device.limits();
        Capabilities {
            // wgpu's compiler emulates it where the device has no such instruction.
            packed_dot: true,
            f16: self.device.features().contains(wgpu::Features::SHADER_F16),
            storage_buffers: limits.max_storage_buffers_per_shader_stage as usize,
            binding_bytes: usize::try_from(limits.max_storage_buffer_binding_size).unwrap_or(usize::MAX),
        }
    }

    /// Runs `f`, and gives the first error that the device reports meanwhile.
    fn checked<T>(&self, f: impl FnOnce() -> T) -> Result<T, DeviceError> {
        let scopes =
            [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation]
                .map(|filter| self.device.push_error_scope(filter));
        let value = f();
        // All are popped, the innermost first.
        let mut errors = Vec::from(scopes).into_iter().rev().filter_map(|scope| ready(scope.pop()));
        let first = errors.next();
        errors.for_each(drop);
        first.map_or(Ok(value), |error| Err(error.into()))
    }
}

/// A frame's memory on the device.
enum Frame {
    Buffer(wgpu::Buffer),
    Texture(wgpu::Texture),
}

/// One dispatch, ready to be encoded.
struct Step {
    pipeline: usize,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// A program with all of its objects on a device.
pub struct Runner<'d> {
    device: &'d Device,
    options: Options,
    pipelines: Vec<wgpu::ComputePipeline>,
    steps: Vec<Step>,
    visible: Frame,
    infrared: Frame,
    fused: Frame,
    readback: wgpu::Buffer,
    row_bytes: usize,
}

impl<'d> Runner<'d> {
    /// Creates buffers, compiles shaders.
    ///
    /// # Errors
    /// [`DeviceError::Refused`].
    pub fn new(device: &'d Device, program: &Program) -> Result<Self, DeviceError> {
        device.checked(|| Self::create(device, program))
    }

    fn create(device: &'d Device, program: &Program) -> Self {
        let gpu = &device.device;
        let buffers: Vec<wgpu::Buffer> = program
            .buffers()
            .iter()
            .map(|b| {
                use wgpu::BufferUsages as U;
                let label = Some(b.role.name());
                let usage = match b.role {
                    Role::Weights => {
                        let contents = program.weights();
                        return gpu.create_buffer_init(&BufferInitDescriptor {
                            label,
                            contents,
                            usage: U::STORAGE,
                        });
                    }
                    Role::Activations => U::STORAGE,
                    Role::Visible | Role::Infrared => U::STORAGE | U::COPY_DST,
                    Role::Fused => U::STORAGE | U::COPY_SRC,
                };
                gpu.create_buffer(&wgpu::BufferDescriptor {
                    label,
                    size: b.bytes as u64,
                    usage,
                    mapped_at_creation: false,
                })
            })
            .collect();
        let options = *program.options();
        let frame = |role| match program.buffer(role) {
            Some(i) => Frame::Buffer(buffers[i].clone()),
            None => Frame::Texture(texture(gpu, role, &options)),
        };
        let [visible, infrared, fused] = [Role::Visible, Role::Infrared, Role::Fused].map(frame);
        let view = |role| match role {
            Role::Visible => &visible,
            Role::Infrared => &infrared,
            _ => &fused,
        };
        let pipelines: Vec<wgpu::ComputePipeline> = program
            .pipelines()
            .iter()
            .map(|p| {
                let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: None,
                    source: wgpu::ShaderSource::Wgsl(p.wgsl.as_str().into()),
                });
                gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: None,
                    layout: None,
                    module: &module,
                    entry_point: Some("main"),
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    cache: None,
                })
            })
            .collect();
        let steps = program
            .dispatches()
            .iter()
            .map(|d| {
                let views: Vec<Option<wgpu::TextureView>> = d
                    .bindings
                    .iter()
                    .map(|b| match b.resource {
                        Resource::Texture(role) => match view(role) {
                            Frame::Texture(t) => Some(t.create_view(&wgpu::TextureViewDescriptor::default())),
                            Frame::Buffer(_) => None,
                        },
                        Resource::Buffer { .. } => None,
                    })
                    .collect();
                let entries: Vec<wgpu::BindGroupEntry<'_>> = d
                    .bindings
                    .iter()
                    .zip(&views)
                    .enumerate()
                    .filter_map(|(i, (b, view))| {
                        let resource = match (b.resource, view) {
                            (Resource::Buffer { buffer, offset, bytes }, _) => {
                                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                                    buffer: &buffers[buffer],
                                    offset: offset as u64,
                                    size: std::num::NonZeroU64::new(bytes as u64),
                                })
                            }
                            (Resource::Texture(_), view) => {
                                wgpu::BindingResource::TextureView(view.as_ref()?)
                            }
                        };
                        Some(wgpu::BindGroupEntry { binding: i as u32, resource })
                    })
                    .collect();
                let group = gpu.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(&d.label),
                    layout: &pipelines[d.pipeline].get_bind_group_layout(0),
                    entries: &entries,
                });
                Step { pipeline: d.pipeline, group, workgroups: d.workgroups }
            })
            .collect();
        // Textures are copied in rows of whole units.
        let row = options.width * 4;
        let row_bytes = match fused {
            Frame::Buffer(_) => row,
            Frame::Texture(_) => row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT as usize),
        };
        let readback = gpu.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: (row_bytes * options.height) as u64,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        Self { device, options, pipelines, steps, visible, infrared, fused, readback, row_bytes }
    }

    /// Uploads a pair of frames, runs the program in one submission and reads the fused frame back: RGBA, alpha 255. The
    /// frames are as [`Options::visible`] and [`Options::infrared`] say, textures in 4 bytes a pixel.
    ///
    /// # Errors
    /// [`DeviceError`] if a frame has another length, or the device is lost.
    pub fn run(&mut self, visible: &[u8], infrared: &[u8], fused: &mut [u8]) -> Result<(), DeviceError> {
        let pixels = self.options.width * self.options.height;
        let bytes = |source| if source == crate::Source::Grey { pixels } else { pixels * 4 };
        for (frame, found, needed) in [
            ("visible", visible.len(), bytes(self.options.visible)),
            ("infrared", infrared.len(), bytes(self.options.infrared)),
            ("fused", fused.len(), pixels * 4),
        ] {
            if found != needed {
                return Err(DeviceError::Length { frame, found, needed });
            }
        }
        let device = self.device;
        device.checked(|| self.submit(visible, infrared))?;
        let (sender, receiver) = mpsc::channel();
        self.readback.map_async(wgpu::MapMode::Read, .., move |result| {
            // Whoever asked is waiting below.
            let _ = sender.send(result);
        });
        let lost = |e: &dyn std::fmt::Display| DeviceError::Lost(e.to_string());
        device
            .device
            .poll(wgpu::PollType::Wait { submission_index: None, timeout: None })
            .map_err(|e| lost(&e))?;
        receiver.recv().map_err(|e| lost(&e))?.map_err(|e| lost(&e))?;
        {
            let view = self.readback.get_mapped_range(..).map_err(|e| lost(&e))?;
            let row = self.options.width * 4;
            for (to, from) in fused.chunks_exact_mut(row).zip(view.chunks(self.row_bytes)) {
                to.copy_from_slice(&from[..row]);
            }
        }
        self.readback.unmap();
        Ok(())
    }

    fn submit(&self, visible: &[u8], infrared: &[u8]) {
        let queue = &self.device.queue;
        for (frame, data) in [(&self.visible, visible), (&self.infrared, infrared)] {
            match frame {
                Frame::Buffer(buffer) => {
                    // Copies are in words of four bytes.
                    let (words, rest) = data.split_at(data.len() / 4 * 4);
                    queue.write_buffer(buffer, 0, words);
                    if !rest.is_empty() {
                        let mut last = [0; 4];
                        last[..rest.len()].copy_from_slice(rest);
                        queue.write_buffer(buffer, words.len() as u64, &last);
                    }
                }
                Frame::Texture(texture) => {
                    let layout = self.layout(self.options.width * 4);
                    queue.write_texture(texture.as_image_copy(), data, layout, texture.size());
                }
            }
        }
        let mut encoder =
            self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for step in &self.steps {
                pass.set_pipeline(&self.pipelines[step.pipeline]);
                pass.set_bind_group(0, &step.group, &[]);
                let [x, y, z] = step.workgroups;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        match &self.fused {
            Frame::Buffer(buffer) => {
                encoder.copy_buffer_to_buffer(buffer, 0, &self.readback, 0, self.readback.size());
            }
            Frame::Texture(texture) => {
                let target =
                    wgpu::TexelCopyBufferInfo { buffer: &self.readback, layout: self.layout(self.row_bytes) };
                encoder.copy_texture_to_buffer(texture.as_image_copy(), target, texture.size());
            }
        }
        queue.submit([encoder.finish()]);
    }

    fn layout(&self, row_bytes: usize) -> wgpu::TexelCopyBufferLayout {
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row_bytes as u32), rows_per_image: None }
    }
}

fn texture(device: &wgpu::Device, role: Role, options: &Options) -> wgpu::Texture {
    use wgpu::TextureUsages as U;
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(role.name()),
        size: wgpu::Extent3d {
            width: options.width as u32,
            height: options.height as u32,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: if role == Role::Fused {
            U::STORAGE_BINDING | U::COPY_SRC
        } else {
            U::TEXTURE_BINDING | U::COPY_DST
        },
        view_formats: &[],
    })
}
