// One image: its picture, the fiber that each pixel belongs to, and a coloured layer.

// Colours of page.css, as [red, green, blue]; opacity of sheath and axon, of 255.
const COLOURS = {
  whole: [86, 180, 233], border: [153, 153, 153], doubtful: [230, 159, 0],
  confirmed: [0, 158, 115], excluded: [213, 94, 0],
};
const OUTSIDE = [110, 150]; // grey stripes outside the counting frame, as in the overlays
const SHEATH = 120;
const AXON = 36;
const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function pixel([red, green, blue], alpha) {
  if (LITTLE_ENDIAN) return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  return ((red << 24) | (green << 16) | (blue << 8) | alpha) >>> 0;
}

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

class Scene {
  constructor(image, stored, picture) {
    this.image = image;
    this.width = stored.width;
    this.height = stored.height;
    this.scale = stored.width / image.cols; // pixels of the picture per pixel of the image
    this.picture = picture;
    this.unpack(bytesOf(stored.runs));
    this.layer = canvasOf(this.width, this.height);
    this.context = this.layer.getContext("2d");
    this.data = new ImageData(this.width, this.height);
    this.pixels = new Uint32Array(this.data.data.buffer);
  }

  // Decode the script element of an image; the browser decodes the picture meanwhile.
  static async load(image, index) {
    const stored = JSON.parse(document.getElementById(`picture-${index}`).textContent);
    const picture = new Image();
    picture.src = stored.picture;
    await picture.decode();
    return new Scene(image, stored, picture);
  }

  // Decode runs of pixels, row by row: value (2 n on fiber n, 2 n + 1 on its axon, 1 outside the counting
  // frame) and length. Both are numbers of 7 bits a byte, the lowest first.
  unpack(bytes) {
    this.values = new Uint32Array(this.width * this.height);
    this.boxes = new Int32Array(4 * this.image.count);
    for (let i = 0; i < this.image.count; i++) this.boxes.set([this.width, this.height, -1, -1], 4 * i);
    let at = 0, place = 0;
    const next = () => {
      let value = 0, shift = 0, byte;
      do {
        byte = bytes[at++];
        value += (byte & 127) * 2 ** shift;
        shift += 7;
      } while (byte > 127);
      return value;
    };
    while (at < bytes.length) {
      const value = next(), length = next();
      if (value) this.values.fill(value, place, place + length);
      if (value > 1) this.widen((value >> 1) - 1, place, place + length - 1);
      place += length;
    }
  }

  // Widen a fiber's box by a run; no run extends beyond its row.
  widen(local, from, to) {
    const box = this.boxes.subarray(4 * local, 4 * local + 4), y = Math.floor(from / this.width);
    box[0] = Math.min(box[0], from - y * this.width);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], to - y * this.width);
    box[3] = Math.max(box[3], y);
  }

  // The fiber at a place of the picture; -1 if there is none.
  fiberAt(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return -1;
    const value = this.values[Math.floor(y) * this.width + Math.floor(x)];
    return value > 1 ? this.image.first + (value >> 1) - 1 : -1;
  }

  box(fiber) {
    const at = 4 * (fiber - this.image.first);
    return this.boxes.subarray(at, at + 4);
  }

  // Colour all fibers; `kindOf` gives a fiber's name in COLOURS.
  paintAll(kindOf) {
    const colours = new Uint32Array(2 * this.image.count + 2);
    for (let i = 0; i < this.image.count; i++) {
      const colour = COLOURS[kindOf(this.image.first + i)];
      colours[2 * i + 2] = pixel(colour, SHEATH);
      colours[2 * i + 3] = pixel(colour, AXON);
    }
    const { pixels, values } = this;
    const stripes = OUTSIDE.map((grey) => pixel([grey, grey, grey], 255));
    const stripe = (x, y) => stripes[((x + y) >> 3) & 1];
    for (let i = 0; i < values.length; i++) {
      pixels[i] = values[i] === 1 ? stripe(i % this.width, Math.floor(i / this.width)) : colours[values[i]];
    }
    this.context.putImageData(this.data, 0, 0);
  }

  // Colour one fiber.
  paint(fiber, kind) {
    const value = 2 * (fiber - this.image.first) + 2, [left, top, right, bottom] = this.box(fiber);
    if (right < 0) return;
    const sheath = pixel(COLOURS[kind], SHEATH), axon = pixel(COLOURS[kind], AXON);
    for (let y = top; y <= bottom; y++) {
      for (let i = y * this.width + left; i <= y * this.width + right; i++) {
        if (this.values[i] === value) this.pixels[i] = sheath;
        else if (this.values[i] === value + 1) this.pixels[i] = axon;
      }
    }
    this.context.putImageData(this.data, 0, 0, left, top, right - left + 1, bottom - top + 1);
  }

  // The outline of a fiber along the edges of pixels.
  outline(fiber) {
    const path = new Path2D(), [left, top, right, bottom] = this.box(fiber);
    const local = fiber - this.image.first + 1, width = this.width;
    const own = (x, y) => x >= 0 && y >= 0 && x < width && y < this.height && this.values[y * width + x] >> 1 === local;
    const line = (x, y, dx, dy) => { path.moveTo(x, y); path.lineTo(x + dx, y + dy); };
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        if (!own(x, y)) continue;
        if (!own(x, y - 1)) line(x, y, 1, 0);
        if (!own(x, y + 1)) line(x, y + 1, 1, 0);
        if (!own(x - 1, y)) line(x, y, 0, 1);
        if (!own(x + 1, y)) line(x + 1, y, 0, 1);
      }
    }
    return path;
  }
}
