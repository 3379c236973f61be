// Pictures and videos that the user chose, and the camera.

async function playing(video, name) {
  await new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", resolve, { once: true });
    video.addEventListener("error", () => reject(new Error(`${name}: this browser cannot play it`)), { once: true });
  });
  await video.play();
}

/** A picture or a playing video. */
export async function open(file) {
  const url = URL.createObjectURL(file);
  if (file.type.startsWith("video/")) {
    const video = Object.assign(document.createElement("video"), { src: url, loop: true, muted: true, playsInline: true });
    await playing(video, file.name);
    return { source: video, live: true, close: () => (video.pause(), URL.revokeObjectURL(url)) };
  }
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Error(`${file.name}: this browser cannot read it; give PNG, JPEG or WebP`);
  } finally {
    URL.revokeObjectURL(url);
  }
  return { source: image, live: false, close: () => undefined };
}

/** The camera. */
export async function camera() {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "environment" } });
  } catch {
    throw new Error("There is no camera, or it was not allowed: choose a picture or a video instead");
  }
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
  await playing(video, "camera");
  return { source: video, live: true, close: () => stream.getTracks().forEach((track) => track.stop()) };
}
