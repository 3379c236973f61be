// Pictures and videos that the user chose.

/** A picture or a playing video. */
export async function open(file) {
  const url = URL.createObjectURL(file);
  if (file.type.startsWith("video/")) {
    const video = Object.assign(document.createElement("video"), { src: url, loop: true, muted: true, playsInline: true });
    await new Promise((resolve, reject) => {
      video.addEventListener("loadeddata", resolve, { once: true });
      video.addEventListener("error", () => reject(new Error(`${file.name}: this browser cannot play it`)), { once: true });
    });
    await video.play();
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
