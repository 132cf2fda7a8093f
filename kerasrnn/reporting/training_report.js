// Shows the values under the pointer, or at the place that arrow keys chose.
for (const box of document.querySelectorAll(".chart-box")) {
  const readout = box.querySelector(".readout");
  for (const svg of box.querySelectorAll("svg[id]")) {
    const data = document.getElementById(svg.id + "-points");
    if (!data) continue;
    const points = JSON.parse(data.textContent);
    const cursor = svg.querySelector(".cursor");
    let chosen = points.length - 1;
    const show = index => {
      chosen = Math.max(0, Math.min(points.length - 1, index));
      const [x, text] = points[chosen];
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.style.visibility = "visible";
      readout.textContent = text;
    };
    svg.addEventListener("pointermove", event => {
      const place = svg.getBoundingClientRect();
      const x = (event.clientX - place.x) * svg.viewBox.baseVal.width
        / place.width;
      let nearest = 0;
      points.forEach((point, index) => {
        if (Math.abs(point[0] - x) < Math.abs(points[nearest][0] - x))
          nearest = index;
      });
      show(nearest);
    });
    svg.addEventListener("keydown", event => {
      const move = {ArrowLeft: -1, ArrowRight: 1,
        Home: -Infinity, End: Infinity}[event.key];
      if (!move) return;
      event.preventDefault();
      show(Number.isFinite(move) ? chosen + move
        : move < 0 ? 0 : points.length - 1);
    });
  }
}
