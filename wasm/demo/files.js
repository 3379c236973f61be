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
    const close = () => (video.pause(), URL.revokeObjectURL(url));
    await playing(video, file.name).catch((e) => (close(), Promise.reject(e)));
    return { source: video, live: true, close };
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
  const close = () => stream.getTracks().forEach((track) => track.stop());
  await playing(video, "camera").catch((e) => (close(), Promise.reject(e)));
  return { source: video, live: true, close };
}
