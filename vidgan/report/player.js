'use strict';
// The player of vidgan: clips in step on one clock. No dependency, no request. See player.py for the HTML it reads.
(() => {
  if (window.vidganPlayer) return;

  const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
  const ZOOMS = [1, 2, 3, 4, 6, 8, 12, 16];
  const LEAST = 128, MOST = 256, IN_GRID = 96; // width of a clip at the first zoom: pixels of a page
  const HELP = 'Space play · ← → step · Home End · < > speed · L loop · + − 0 zoom';
  const HELP_PAIR = ' · O overlay · W wipe · A B choose clips · Shift+← → slide';
  let current = null; // the player that was used last

  // Frame of the clock after `seconds` from frame `from`: {frame, ended}.
  function frameAt(from, seconds, rate, total, loop) {
    const passed = from + Math.floor(seconds * rate + 1e-6);
    if (loop) return { frame: passed % total, ended: false };
    return { frame: Math.min(passed, total - 1), ended: passed >= total - 1 };
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {}))
      if (value !== false) made.setAttribute(key, value === true ? '' : value);
    made.append(...children);
    return made;
  }

  // A clip of the page: its sheets, its canvas, and how to draw one of its frames.
  function readClip(figure) {
    const clip = Object.fromEntries(Object.entries(figure.dataset).map(([name, value]) => [name, Number(value)]));
    clip.figure = figure;
    clip.label = figure.querySelector('figcaption').textContent;
    clip.sheets = [...figure.querySelectorAll('img')];
    clip.canvas = element('canvas', { width: clip.width, height: clip.height, role: 'img', 'aria-label': clip.label });
    clip.view = element('div', { class: 'vp-view' }, clip.canvas);
    figure.append(clip.view);
    for (const sheet of clip.sheets) sheet.hidden = true;
    return clip;
  }

  // Draw the frame of the clock onto a context, as large as its canvas; returns the number of the clip's frame.
  function draw(context, clip, time) {
    const { width, height } = context.canvas;
    const index = Math.min(time - clip.start, clip.frames - 1);
    if (index < 0) return -1;
    const perSheet = clip.columns * clip.rows, place = index % perSheet;
    context.imageSmoothingEnabled = false;
    context.drawImage(
      clip.sheets[Math.floor(index / perSheet)],
      (place % clip.columns) * clip.cellWidth, Math.floor(place / clip.columns) * clip.cellHeight,
      clip.width, clip.height, 0, 0, width, height,
    );
    return index;
  }

  function build(root) {
    const clips = [...root.querySelectorAll('.vp-clip')].map(readClip);
    const total = Math.max(...clips.map(clip => clip.start + clip.frames));
    const context = Math.max(...clips.map(clip => (clip.context ? clip.start + clip.context : 0)));
    const fps = Number(root.dataset.fps), isPair = clips.length > 1, table = root.querySelector('table');
    const tallest = Math.max(...clips.map(clip => clip.height));
    const widest = Math.max(...clips.map(clip => (clip.width * tallest) / clip.height));
    const box = root.querySelector('.vp-clips');
    const state = { frame: 0, playing: false, loop: true, speed: 1, zoom: 0, mode: 'side', a: 0, b: 1, share: 0.5 };
    const anchor = { frame: 0, time: 0 };
    let visible = true;

    // Controls
    const button = (name, text, action, attributes) => {
      const made = element('button', { type: 'button', 'aria-label': name, title: name, ...attributes }, text);
      made.addEventListener('click', event => { action(); if (event.detail) root.focus({ preventScroll: true }); });
      return made;
    };
    const playButton = button('Play', '▶', () => play(!state.playing), { class: 'vp-play' });
    const scrubber = element('input', { type: 'range', min: 0, max: total - 1, step: 1, value: 0, 'aria-label': 'Frame' });
    scrubber.addEventListener('input', () => seek(Number(scrubber.value)));
    const given = element('span', { class: 'vp-given', title: 'Frames that were given', hidden: !context });
    given.style.width = `${(100 * Math.min(context, total)) / total}%`;
    const readout = element('output', { class: 'vp-readout', 'aria-live': 'off' });
    const speed = element('select', { 'aria-label': 'Speed', title: 'Speed' },
      ...SPEEDS.map(value => element('option', { value, selected: value === 1 }, `${value}×`)));
    speed.addEventListener('change', () => setSpeed(Number(speed.value)));
    const loopButton = button('Loop', '↻', () => setLoop(!state.loop));
    const zoomText = element('span', { class: 'vp-zoom' });
    const modes = {
      overlay: button('Overlay two clips', 'Overlay', () => setMode('overlay')),
      wipe: button('Wipe between two clips', 'Wipe', () => setMode('wipe')),
    };
    const group = (...children) => element('span', { class: 'vp-group' }, ...children);
    const transport = element('div', { class: 'vp-bar', hidden: total < 2 },
      group(playButton, button('One frame back', '‹', () => step(-1)), button('One frame forward', '›', () => step(1))),
      element('span', { class: 'vp-track' }, scrubber, given), readout);
    const options = element('div', { class: 'vp-bar' },
      group(speed, loopButton),
      group(button('Zoom out', '−', () => setZoom(-1)), zoomText, button('Zoom in', '+', () => setZoom(1)),
        button('Fit the page', 'Fit', () => setZoom(0))),
      ...(isPair ? [group(modes.overlay, modes.wipe)] : []));
    speed.hidden = loopButton.hidden = total < 2;

    // The stage: two clips on one canvas
    const choice = (name, side) => {
      const made = element('select', { 'aria-label': name },
        ...clips.map((clip, number) => element('option', { value: number }, clip.label)));
      made.addEventListener('change', () => { state[side] = Number(made.value); layout(); });
      return made;
    };
    const choices = { a: choice('First clip', 'a'), b: choice('Second clip', 'b') };
    const share = element('input', { type: 'range', min: 0, max: 100, step: 1, value: 50 });
    share.addEventListener('input', () => setShare(Number(share.value) / 100));
    const stageCanvas = element('canvas', { role: 'img' });
    const line = element('span', { class: 'vp-line', 'aria-hidden': 'true' });
    const frame = element('div', { class: 'vp-frame' }, stageCanvas, line);
    const stageView = element('div', { class: 'vp-view' }, frame);
    const stage = element('div', { class: 'vp-stage', hidden: true }, stageView,
      element('div', { class: 'vp-bar vp-pair' }, choices.a, share, choices.b));
    const drag = event => {
      const area = frame.getBoundingClientRect();
      setShare((event.clientX - area.left) / area.width);
    };
    frame.addEventListener('pointerdown', event => { frame.setPointerCapture(event.pointerId); drag(event); });
    frame.addEventListener('pointermove', event => { if (frame.hasPointerCapture(event.pointerId)) drag(event); });

    box.before(transport, options);
    box.before(stage);
    root.append(element('p', { class: 'vp-help' }, HELP + (isPair ? HELP_PAIR : '')));

    // Drawing
    function render() {
      for (const clip of clips) {
        const index = draw(clip.canvas.getContext('2d'), clip, state.frame);
        if (index < 0) clip.canvas.getContext('2d').clearRect(0, 0, clip.width, clip.height);
        clip.canvas.dataset.frame = index;
        clip.figure.classList.toggle('vp-is-given', index >= 0 && index < clip.context);
        clip.figure.classList.toggle('vp-is-over', state.frame >= clip.start + clip.frames);
      }
      if (state.mode !== 'side') renderStage();
      root.dataset.frame = state.frame;
      scrubber.value = state.frame;
      const text = `${state.frame + 1} / ${total}`;
      readout.textContent = context ? `${text} ${state.frame < context ? 'given' : ''}` : text;
      scrubber.setAttribute('aria-valuetext', `frame ${state.frame + 1} of ${total}`);
    }

    function renderStage() {
      const a = clips[state.a], b = clips[state.b], pen = stageCanvas.getContext('2d');
      const { width, height } = stageCanvas, cut = Math.round(width * state.share);
      pen.clearRect(0, 0, width, height);
      pen.save();
      if (state.mode === 'overlay') {
        draw(pen, a, state.frame);
        pen.globalAlpha = state.share;
        draw(pen, b, state.frame);
      } else {
        for (const [clip, left, right] of [[a, 0, cut], [b, cut, width]]) {
          pen.restore();
          pen.save();
          pen.beginPath();
          pen.rect(left, 0, right - left, height);
          pen.clip();
          draw(pen, clip, state.frame);
        }
      }
      pen.restore();
    }

    function fit() {
      const room = box.clientWidth || root.clientWidth || 320;
      let columns = table ? table.rows[0].cells.length - 1 : clips.length;
      const most = table ? IN_GRID : MOST;
      if (!table) while (columns > 1 && room / columns < LEAST) columns = Math.ceil(columns / 2);
      const cell = (table ? room - 80 : room) / columns - (table ? 4 : 12);
      const scale = Math.min(cell / widest, Math.ceil(most / widest));
      if (scale >= 1) return Math.floor(scale);
      return table ? Math.min(1, most / widest) : scale; // a wide grid scrolls
    }

    function layout() {
      const scale = state.zoom || fit(), height = tallest * scale;
      for (const clip of clips) {
        const width = Math.round((clip.width * height) / clip.height);
        clip.canvas.style.width = `${width}px`;
        clip.canvas.style.height = `${Math.round(height)}px`;
      }
      root.classList.toggle('vp-is-small', scale < 1);
      root.dataset.zoom = scale;
      root.dataset.mode = state.mode;
      zoomText.textContent = scale < 1 ? `${Math.round(100 * scale)} %` : `${scale}×`;
      stage.hidden = state.mode === 'side';
      for (const [name, made] of Object.entries(modes)) made.setAttribute('aria-pressed', state.mode === name);
      if (!stage.hidden) {
        const a = clips[state.a], b = clips[state.b];
        stageCanvas.width = Math.max(a.width, b.width);
        stageCanvas.height = Math.max(a.height, b.height);
        const room = stage.clientWidth || 320, shape = a.width / a.height;
        const large = state.zoom || Math.max(1, Math.floor(Math.min(2 * fit(), room / (tallest * shape))));
        const wide = state.zoom ? tallest * large * shape : Math.min(room, tallest * large * shape);
        stageCanvas.style.width = `${Math.round(wide)}px`;
        stageCanvas.style.height = `${Math.round(wide / shape)}px`;
        stageCanvas.setAttribute('aria-label', `${a.label} and ${b.label}`);
        choices.a.value = state.a;
        choices.b.value = state.b;
        share.setAttribute('aria-label', state.mode === 'wipe' ? 'Position of the wipe' : 'Blend');
        line.hidden = state.mode !== 'wipe';
      }
      render();
    }

    // Actions
    function seek(number) {
      state.frame = Math.max(0, Math.min(total - 1, number));
      restart();
      render();
    }
    function restart() { anchor.frame = state.frame; anchor.time = performance.now(); }
    function step(by) { play(false); seek((state.frame + by + total) % total); }
    function play(on) {
      if (on === state.playing || total < 2) return;
      if (on && !state.loop && state.frame === total - 1) state.frame = 0;
      state.playing = on;
      playButton.textContent = on ? '❚❚' : '▶';
      playButton.title = on ? 'Pause' : 'Play';
      playButton.setAttribute('aria-label', playButton.title);
      root.dataset.playing = on;
      restart();
      if (on) requestAnimationFrame(tick);
    }
    function tick(now) {
      if (!state.playing || !root.isConnected) return;
      const next = frameAt(anchor.frame, Math.max(0, now - anchor.time) / 1000, fps * state.speed, total, state.loop);
      if (next.frame !== state.frame) {
        state.frame = next.frame;
        if (visible) render();
      }
      if (next.ended) play(false);
      else requestAnimationFrame(tick);
    }
    function setSpeed(value) { restart(); state.speed = value; speed.value = value; }
    function setLoop(on) { restart(); state.loop = on; loopButton.setAttribute('aria-pressed', on); }
    function setZoom(direction) {
      const now = state.zoom || fit(), larger = ZOOMS.filter(zoom => zoom > now), smaller = ZOOMS.filter(zoom => zoom < now);
      if (direction > 0) state.zoom = larger[0] || ZOOMS.at(-1);
      else if (direction < 0) state.zoom = smaller.at(-1) || ZOOMS[0];
      else state.zoom = 0;
      layout();
    }
    function setMode(mode) { if (isPair) { state.mode = state.mode === mode ? 'side' : mode; layout(); } }
    function setShare(value) {
      state.share = Math.max(0, Math.min(1, value));
      line.style.left = `${100 * state.share}%`;
      share.value = Math.round(100 * state.share);
      render();
    }
    function choose(side) { state[side] = (state[side] + 1) % clips.length; layout(); }
    function changeSpeed(by) {
      setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(state.speed) + by))]);
    }

    const keys = {
      ' ': () => play(!state.playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
      Home: () => seek(0), End: () => { play(false); seek(total - 1); },
      '<': () => changeSpeed(-1), '>': () => changeSpeed(1), l: () => setLoop(!state.loop),
      '+': () => setZoom(1), '=': () => setZoom(1), '-': () => setZoom(-1), 0: () => setZoom(0),
      o: () => setMode('overlay'), w: () => setMode('wipe'), a: () => choose('a'), b: () => choose('b'),
      Escape: () => { if (state.mode !== 'side') setMode(state.mode); },
    };
    function press(event) {
      const { target, key } = event, name = key.length === 1 ? key.toLowerCase() : key;
      if (event.ctrlKey || event.metaKey || event.altKey || !(name in keys)) return;
      if (target.tagName === 'SELECT' || target === share) return; // they have keys of their own
      if (target.tagName === 'BUTTON' && key === ' ') return;
      if (event.shiftKey && key.startsWith('Arrow')) {
        if (state.mode === 'side') return;
        setShare(state.share + (key === 'ArrowLeft' ? -0.05 : 0.05));
      } else keys[name]();
      event.preventDefault();
    }

    // All views scroll together, so that each shows the same part of its clip.
    const views = [...clips.map(clip => clip.view), stageView];
    for (const view of views)
      view.addEventListener('scroll', () => {
        for (const other of views)
          if (other !== view && (other.scrollLeft !== view.scrollLeft || other.scrollTop !== view.scrollTop))
            other.scrollTo(view.scrollLeft, view.scrollTop);
      });
    for (const clip of clips) clip.canvas.addEventListener('click', () => play(!state.playing));
    root.addEventListener('pointerdown', () => { current = root; });
    root.addEventListener('focusin', () => { current = root; });
    root.vidganPlayer = { press, seek, play };

    setLoop(true);
    setShare(0.5);
    layout();
    let width = 0;
    new ResizeObserver(([entry]) => {
      if (entry.contentRect.width !== width) { width = entry.contentRect.width; layout(); }
    }).observe(root);
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    let started = calm; // playing starts when the player is first seen
    new IntersectionObserver(([entry]) => {
      visible = entry.isIntersecting;
      if (visible && !started) { started = true; play(true); }
      if (visible) render();
    }).observe(root);
    const loaded = clips.flatMap(clip => clip.sheets).map(sheet => sheet.decode().catch(() => {}));
    Promise.all(loaded).then(() => { root.dataset.ready = 'true'; render(); });
  }

  function start() {
    if (document.readyState === 'loading') return; // a player may be incomplete
    for (const root of document.querySelectorAll('.vidgan-player:not([data-built])')) {
      root.dataset.built = 'true';
      build(root);
    }
  }

  document.addEventListener('keydown', event => {
    const players = document.querySelectorAll('.vidgan-player');
    const inside = event.target.closest('.vidgan-player');
    const outside = event.target === document.body && (players.length === 1 ? players[0] : current);
    const player = inside || outside;
    if (player && player.isConnected && player.vidganPlayer) player.vidganPlayer.press(event);
  });
  window.vidganPlayer = { frameAt };
  new MutationObserver(start).observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener('DOMContentLoaded', start);
  start();
})();
