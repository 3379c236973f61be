//! Single stages on a device.

use fusionproxy_gpu::Stage;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wgpu::util::{BufferInitDescriptor, DeviceExt};

fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// A device on which stages run one by one.
pub(crate) struct Bench {
    device: wgpu::Device,
    queue: wgpu::Queue,
    name: String,
}

/// What a stage binds.
#[derive(Clone, Copy)]
pub(crate) enum Bound<'a> {
    Storage(&'a wgpu::Buffer),
    Uniform(&'a wgpu::Buffer),
    Texture(&'a wgpu::Texture),
}

/// A stage, compiled.
pub(crate) struct Made {
    pipeline: wgpu::ComputePipeline,
    workgroups: [u32; 3],
}

impl Bench {
    /// A Vulkan device, unless there is none.
    pub(crate) fn open() -> Option<Self> {
        let mut instance = wgpu::InstanceDescriptor::new_without_display_handle();
        instance.backends = wgpu::Backends::VULKAN;
        let adapter = match ready(wgpu::Instance::new(instance).request_adapter(&Default::default())) {
            Ok(adapter) => adapter,
            Err(e) => {
                eprintln!("SKIPPED: {e}; `cargo xtask setup` installs Mesa's lavapipe, which is one");
                return None;
            }
        };
        let (device, queue) = ready(adapter.request_device(&Default::default())).expect("a device");
        Some(Self { device, queue, name: adapter.get_info().name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A buffer of zeros.
    pub(crate) fn zeros(&self, bytes: usize) -> wgpu::Buffer {
        self.buffer(&vec![0; bytes])
    }

    /// A buffer of words.
    pub(crate) fn words(&self, words: &[i32]) -> wgpu::Buffer {
        self.buffer(&words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>())
    }

    fn buffer(&self, contents: &[u8]) -> wgpu::Buffer {
        use wgpu::BufferUsages as U;
        let usage = U::STORAGE | U::UNIFORM | U::COPY_SRC;
        self.device.create_buffer_init(&BufferInitDescriptor { label: None, contents, usage })
    }

    /// A texture of texels in rows without gaps.
    pub(crate) fn texture<T: Copy + Into<u32>>(
        &self,
        (width, height): (usize, usize),
        format: wgpu::TextureFormat,
        elements: &[T],
    ) -> wgpu::Texture {
        let descriptor = wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let bytes: Vec<u8> = elements
            .iter()
            .flat_map(|e| (*e).into().to_le_bytes().into_iter().take(size_of::<T>()))
            .collect();
        self.device.create_texture_with_data(&self.queue, &descriptor, Default::default(), &bytes)
    }

    /// Compiles a stage.
    pub(crate) fn stage(&self, stage: &Stage) -> Made {
        let source = wgpu::ShaderSource::Wgsl(stage.wgsl.as_str().into());
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        Made { pipeline, workgroups: stage.workgroups }
    }

    /// Runs a stage.
    pub(crate) fn run(&self, made: &Made, bound: &[(u32, Bound<'_>)]) {
        let views: Vec<_> = bound
            .iter()
            .map(
                |(_, b)| {
                    if let Bound::Texture(t) = b { Some(t.create_view(&Default::default())) } else { None }
                },
            )
            .collect();
        let entries: Vec<_> = bound
            .iter()
            .zip(&views)
            .map(|((binding, b), view)| {
                let resource = match (b, view) {
                    (Bound::Storage(buffer) | Bound::Uniform(buffer), _) => buffer.as_entire_binding(),
                    (Bound::Texture(_), view) => {
                        wgpu::BindingResource::TextureView(view.as_ref().expect("a view"))
                    }
                };
                wgpu::BindGroupEntry { binding: *binding, resource }
            })
            .collect();
        let layout = made.pipeline.get_bind_group_layout(0);
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout,
            entries: &entries,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&made.pipeline);
            pass.set_bind_group(0, &group, &[]);
            let [x, y, z] = made.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
        self.queue.submit([encoder.finish()]);
    }

    /// A buffer's bytes.
    pub(crate) fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        use wgpu::BufferUsages as U;
        let readback = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: buffer.size(),
            usage: U::MAP_READ | U::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &readback, 0, buffer.size());
        self.queue.submit([encoder.finish()]);
        readback.slice(..).map_async(wgpu::MapMode::Read, |result| result.expect("a mapped buffer"));
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("a finished queue");
        readback.slice(..).get_mapped_range().expect("a range").to_vec()
    }
}
