'use strict';
// Line charts of a page: reads the JSON of each `.line-chart` (see charts.py) and draws it with uPlot.
(() => {
  const HEIGHT = 230, FAINT = '3d', BAND = '1f'; // opacity of 255, as hexadecimal digits

  // A number with four digits; an exponent for very large and very small ones.
  function short(value) {
    if (value === null || value === undefined) return '–';
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e7 || size < 1e-3)) return Number(value.toPrecision(3)).toExponential().replace('e+', 'e');
    return size >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(4)));
  }

  function build(figure) {
    const chart = JSON.parse(figure.querySelector('script').textContent);
    const box = figure.querySelector('.plot'), keys = [...figure.querySelectorAll('.legend button')];
    const style = getComputedStyle(figure), colour = name => style.getPropertyValue(name).trim();
    const grid = colour('--grid'), soft = colour('--soft'), font = `11.5px ${style.fontFamily}`;
    const tables = [], series = [{}], bands = [], owner = [null], main = [];

    // Bands first, then single records, then lines, so that lines lie on top.
    const add = (number, x, y, options) => {
      tables.push([x, y]);
      owner.push(number);
      series.push({ scale: 'y', points: { show: false }, ...options });
      return series.length - 1;
    };
    const paint = chart.series.map((_, number) => colour(`--c${number % 8}`));
    chart.series.forEach((line, number) => {
      if (!line.band) return;
      const low = add(number, line.band.x, line.band.low, { width: 0 });
      const high = add(number, line.band.x, line.band.high, { width: 0 });
      bands.push({ series: [high, low], fill: paint[number] + BAND });
    });
    chart.series.forEach((line, number) => {
      if (line.faint) add(number, line.faint.x, line.faint.y, { stroke: paint[number] + FAINT, width: 1 });
    });
    chart.series.forEach((line, number) => {
      const dash = number >= 8 ? [5, 4] : undefined, show = line.x.length <= chart.marked;
      const points = { show, size: 6, width: 1.5, fill: colour('--card') };
      main[number] = add(number, line.x, line.y, { stroke: paint[number], width: 2, dash, points });
    });

    // The legend shows values at the cursor, and the last ones while there is none.
    const values = keys.map(key => key.querySelector('b')), last = values.map(value => value.textContent);
    const axis = {
      stroke: soft, font, labelFont: font, labelSize: 18, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, size: 4 },
    };
    const digits = (_, splits) => splits.map(value => (value === null ? '' : short(value)));
    // Labels of a logarithmic axis: decades, or 1, 2 and 5 where fewer than three decades are visible.
    const decades = (self, splits) => splits.map(value => {
      if (value === null) return '';
      const { min, max } = self.scales.y, leading = Number(value.toExponential()[0]);
      const isRound = Math.abs(value / 10 ** Math.floor(Math.log10(value) + 1e-9) - leading) < 1e-6;
      return isRound && (leading === 1 || (max / min < 1000 && (leading === 2 || leading === 5))) ? short(value) : '';
    });
    const data = uPlot.join(tables), ends = [data[0][0], data[0].at(-1)];
    // Of the x axis, a zoom comes through the range function as well; the whole chart comes with the ends of the data.
    const horizontal = (_, low, high) => (low === ends[0] && high === ends[1] ? chart.x_range : [low, high]);
    const plot = new uPlot({
      width: box.clientWidth, height: HEIGHT, series, bands, padding: [12, 24, 0, 0],
      legend: { show: false },
      scales: { x: { time: false, range: horizontal }, y: { distr: chart.log_y ? 3 : 1, range: () => chart.y_range } },
      axes: [
        { ...axis, label: chart.x_label, size: 26, values: digits },
        { ...axis, scale: 'y', label: chart.y_label, values: chart.log_y ? decades : digits,
          size: (_, texts) => Math.max(36, 12 + 7 * Math.max(0, ...(texts || []).map(text => text.length))) },
      ],
      cursor: {
        drag: { x: true, y: true, uni: 20, dist: 4 }, y: false,
        points: {
          size: (_, index) => (main.includes(index) ? 7 : 0), width: 0,
          fill: (_, index) => (owner[index] === null ? soft : paint[owner[index]]),
        },
        sync: { key: chart.x_label, scales: ['x', null], filters: { pub: type => /^mouse(move|enter|leave)$/.test(type) } },
      },
      hooks: {
        setCursor: [self => values.forEach((value, number) => {
          const index = self.cursor.idxs && self.cursor.left >= 0 ? self.cursor.idxs[main[number]] : null;
          value.textContent = index === null || index === undefined ? last[number] : short(self.data[main[number]][index]);
        })],
      },
    }, data, box);
    figure.plot = plot;

    keys.forEach((key, number) => {
      key.onclick = () => {
        const show = key.getAttribute('aria-pressed') !== 'true';
        key.setAttribute('aria-pressed', show);
        owner.forEach((of, index) => { if (of === number) plot.setSeries(index, { show }); });
      };
      if (key.getAttribute('aria-pressed') !== 'true')
        owner.forEach((of, index) => { if (of === number) plot.setSeries(index, { show: false }); });
    });
    let width = box.clientWidth;
    const observer = new ResizeObserver(() => {
      if (box.clientWidth !== width) { width = box.clientWidth; plot.setSize({ width, height: HEIGHT }); }
    });
    observer.observe(box);
    return () => { observer.disconnect(); plot.destroy(); };
  }

  let remove = [];
  function draw() {
    for (const undo of remove) undo();
    remove = [...document.querySelectorAll('.line-chart')].map(build);
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', draw);
  else draw();
})();
