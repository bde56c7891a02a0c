// g-ratio against axon diameter of the fibers that Python measured; the chosen one is marked.

export function plot(canvas, fibers, chosen) {
  const ratio = window.devicePixelRatio || 1, width = 300, height = 200;
  [canvas.width, canvas.height] = [width * ratio, height * ratio];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "11px system-ui";
  const largest = Math.max(...fibers.axon.filter((value) => value !== null), 1);
  const left = (value) => 30 + (value / largest) * (width - 40), top = (g) => height - 24 - g * (height - 34);
  context.strokeStyle = context.fillStyle = "#57606a";
  context.strokeRect(30, 10, width - 40, height - 34);
  context.fillText("0", 20, height - 22);
  context.fillText("1 g", 10, 18);
  context.fillText(`axon diameter to ${largest.toPrecision(3)} µm`, 90, height - 6);
  fibers.axon.forEach((value, row) => {
    if (fibers.exclude[row] || fibers.state[row] === "border") return;
    context.fillStyle = row === chosen ? "#d55e00" : "rgba(0, 114, 178, 0.55)";
    const side = row === chosen ? 7 : 3;
    context.fillRect(left(value) - side / 2, top(fibers.g[row]) - side / 2, side, side);
  });
}
