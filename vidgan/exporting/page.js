'use strict';
// The page of an exported model: the runtime and the model are in the page, nothing is requested. See web_page.py.
(() => {
  const info = JSON.parse(document.getElementById('exported').textContent);
  const [height, width] = info.image_size;
  const size = 3 * height * width;
  const status = document.getElementById('status'), results = document.getElementById('results');
  let session = null, runtime = null;

  // ---- what is stored in the page ------------------------------------------------------------------------------
  async function unpacked(id) {
    const text = document.getElementById(id).textContent;
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function open() {
    const script = await unpacked('runtime-script');
    const address = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
    runtime = await import(address);
    runtime.env.wasm.numThreads = 1; // more need SharedArrayBuffer, which pages from files do not have
    runtime.env.wasm.wasmBinary = (await unpacked('runtime-wasm')).buffer;
    session = await runtime.InferenceSession.create(await unpacked('model'), { executionProviders: ['wasm'] });
  }

  // ---- random numbers: those of vidgan (vidgan/exporting/draws.py) ---------------------------------------------
  const MASK = (1n << 64n) - 1n;
  const IV = [
    0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
    0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
  ];
  const ORDER = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4], [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13], [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11], [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5], [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
  ];
  const turned = (value, by) => ((value >> by) | (value << (64n - by))) & MASK;

  // BLAKE2b (RFC 7693) of a text below 128 bytes: its first 32 bits after a shift by one, as `derive_seed` takes them.
  function derivedSeed(text) {
    const block = new Uint8Array(128), bytes = new TextEncoder().encode(text);
    block.set(bytes);
    const words = new BigUint64Array(block.buffer), state = [...IV];
    state[0] ^= 0x01010000n ^ 8n;
    const v = [...state, ...IV];
    v[12] ^= BigInt(bytes.length);
    v[14] ^= MASK;
    const mix = (a, b, c, d, x, y) => {
      v[a] = (v[a] + v[b] + x) & MASK; v[d] = turned(v[d] ^ v[a], 32n);
      v[c] = (v[c] + v[d]) & MASK; v[b] = turned(v[b] ^ v[c], 24n);
      v[a] = (v[a] + v[b] + y) & MASK; v[d] = turned(v[d] ^ v[a], 16n);
      v[c] = (v[c] + v[d]) & MASK; v[b] = turned(v[b] ^ v[c], 63n);
    };
    for (let round = 0; round < 12; round++) {
      const m = ORDER[round % 10].map(index => words[index]);
      mix(0, 4, 8, 12, m[0], m[1]); mix(1, 5, 9, 13, m[2], m[3]);
      mix(2, 6, 10, 14, m[4], m[5]); mix(3, 7, 11, 15, m[6], m[7]);
      mix(0, 5, 10, 15, m[8], m[9]); mix(1, 6, 11, 12, m[10], m[11]);
      mix(2, 7, 8, 13, m[12], m[13]); mix(3, 4, 9, 14, m[14], m[15]);
    }
    const digest = (state[0] ^ v[0] ^ v[8]) & MASK;
    return Number((digest >> 1n) & 0xffffffffn);
  }

  class Stream { // the Mersenne Twister MT19937, and normal numbers by Box and Muller
    constructor(...keys) {
      const shown = keys.map(key => (typeof key === 'string' ? `'${key}'` : String(key)));
      this.state = new Uint32Array(624);
      this.place = 624;
      this.second = null;
      this.state[0] = derivedSeed(`(${shown.join(', ')})`);
      for (let i = 1; i < 624; i++) {
        const last = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
        this.state[i] = Math.imul(1812433253, last) + i;
      }
    }
    word() {
      const s = this.state;
      if (this.place === 624) {
        for (let i = 0; i < 624; i++) {
          const joined = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
          s[i] = s[(i + 397) % 624] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
        }
        this.place = 0;
      }
      let y = s[this.place++];
      y ^= y >>> 11; y ^= (y << 7) & 0x9d2c5680; y ^= (y << 15) & 0xefc60000; y ^= y >>> 18;
      return y >>> 0;
    }
    double() {
      const high = this.word(), low = this.word();
      return ((high & 0x1fffff) * 4294967296 + low) / 9007199254740992;
    }
    normals(count) {
      const drawn = new Float32Array(count);
      if (count < 16) {
        for (let i = 0; i < count; i++) {
          if (this.second !== null) { drawn[i] = this.second; this.second = null; continue; }
          const angle = 2 * Math.PI * this.double(), radius = Math.sqrt(-2 * Math.log1p(-this.double()));
          drawn[i] = radius * Math.cos(angle);
          this.second = radius * Math.sin(angle);
        }
        return drawn;
      }
      const uniform = length => Float32Array.from({ length }, () => (this.word() & 0xffffff) / 16777216);
      const transform = start => {
        for (let i = start; i < start + 8; i++) {
          const radius = Math.sqrt(-2 * Math.log(1 - drawn[i])), angle = 2 * Math.PI * drawn[i + 8];
          drawn[i] = radius * Math.cos(angle);
          drawn[i + 8] = radius * Math.sin(angle);
        }
      };
      drawn.set(uniform(count));
      for (let i = 0; i + 16 <= count; i += 16) transform(i);
      if (count % 16) { drawn.set(uniform(16), count - 16); transform(count - 16); }
      return drawn;
    }
  }

  const floats = (values, shape) => new runtime.Tensor('float32', values, shape);

  // ---- a generator -----------------------------------------------------------------------------------------------
  // Random values of the information codes of a clip, by place.
  function informationCodes(seed, row) {
    const codes = { content: [], motion: [] };
    for (const [name, code] of Object.entries(info.codes)) {
      const stream = new Stream(seed, 'sample', 'code', name, row);
      if (code.kind === 'categorical') {
        const chosen = stream.word() % code.size;
        for (let i = 0; i < code.size; i++) codes[code.enters].push(i === chosen ? 1 : 0);
      } else codes[code.enters].push(2 * ((stream.word() & 0xffffff) / 16777216) - 1);
    }
    return codes;
  }

  // The words of a text by number, as `vidgan.tokens` numbers them.
  function wordNumbers(text) {
    const words = text.toLowerCase().match(/[\p{L}\p{N}]+(?:['\u2019-][\p{L}\p{N}]+)*/gu) || [];
    if (!words.length) throw new Error('Caption: at least one word is needed');
    return words.map(word => {
      const place = info.vocabulary.indexOf(word);
      if (place < 0) throw new Error(`Caption: unknown word "${word}"; known are ${info.vocabulary.join(', ')}`);
      return BigInt(place + 1);
    });
  }

  const captions = (info.facts.captions || []).length ? info.facts.captions : info.vocabulary.slice(0, 1);

  function drawnCaption(seed, row) {
    return captions[new Stream(seed, 'sample', 'caption', row).word() % captions.length];
  }

  // Clip number `row` of a seed, as `vidgan generate --seed` draws it: Uint8Array (frames, 3, height, width).
  async function drawClip(seed, row, frames, category, caption) {
    const [contentSize, motionSize] = info.code_sizes, stream = new Stream(seed, 'sample', row);
    const codes = informationCodes(seed, row), dimMotion = motionSize - codes.motion.length;
    const content = new Float32Array(contentSize), dimContent = contentSize - codes.content.length - info.noise;
    content.set(stream.normals(dimContent));
    content.set(codes.content, dimContent);
    if (info.noise) content.set(new Stream(seed, 'sample', 'noise', row).normals(info.noise), contentSize - info.noise);
    const drawn = stream.word() % Math.max(1, info.categories);
    const rows = info.warm_up + frames + 1, blocks = Math.ceil((rows - 1) / 16);
    const noise = new Float32Array((1 + 16 * blocks) * dimMotion), motion = new Float32Array(rows * motionSize);
    noise.set(stream.normals(dimMotion));
    for (let b = 0; b < blocks; b++) noise.set(stream.normals(16 * dimMotion), (1 + 16 * b) * dimMotion);
    for (let i = 0; i < rows; i++) {
      motion.set(noise.subarray(i * dimMotion, (i + 1) * dimMotion), i * motionSize);
      motion.set(codes.motion, i * motionSize + dimMotion);
    }
    const feeds = { content: floats(content, [1, contentSize]), motion: floats(motion, [1, rows, motionSize]) };
    if (info.categories)
      feeds.category = new runtime.Tensor('int64', BigInt64Array.of(BigInt(category ?? drawn)), [1]);
    if (info.text_size) {
      const words = wordNumbers(caption ?? drawnCaption(seed, row));
      feeds.tokens = new runtime.Tensor('int64', BigInt64Array.from(words), [1, words.length]);
      feeds.text = floats(new Stream(seed, 'sample', 'text', row).normals(info.text_size), [1, info.text_size]);
    }
    return (await session.run(feeds)).clips.data;
  }

  // ---- a forecaster ----------------------------------------------------------------------------------------------
  // The frames after `context`, Uint8Array (times, 3, height, width): Uint8Array (horizon, 3, height, width).
  async function continueFrames(context, horizon, progress = () => {}) {
    const times = context.length / size, frames = new Uint8Array(horizon * size);
    let state = Object.fromEntries(Object.entries(info.states).map(([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      return [name, floats(new Float32Array(count), [1, ...shape])];
    }));
    const silence = Object.fromEntries(Object.entries(info.noises).map(([name, shape]) => {
      return [name, floats(new Float32Array(shape.reduce((a, b) => a * b, 1)), [1, ...shape])];
    }));
    for (let time = 0; time < times + horizon; time++) {
      const observing = time < times, start = (observing ? time : times - 1) * size;
      const made = await session.run({
        observing: new runtime.Tensor('bool', Uint8Array.of(observing ? 1 : 0), []),
        frame: new runtime.Tensor('uint8', context.slice(start, start + size), [1, 3, height, width]),
        ...silence, ...state,
      });
      state = Object.fromEntries(Object.keys(info.states).map(name => [name, made[name.replace('state_', 'new_')]]));
      if (!observing) frames.set(made.forecast.data, (time - times) * size);
      progress(time + 1, times + horizon);
      await new Promise(resolve => setTimeout(resolve)); // the page stays responsive
    }
    return frames;
  }

  // Frames per second of a video, from the times of its first frames, played slowly so that none is skipped.
  async function frameRate(video) {
    const unknown = new Error('The frame rate of this video is unknown; enter the frames per second');
    if (!video.requestVideoFrameCallback) throw unknown;
    const times = [];
    video.playbackRate = 0.25;
    await new Promise((resolve, reject) => {
      const note = (now, frame) => {
        times.push(frame.mediaTime);
        if (times.length < 12) video.requestVideoFrameCallback(note); else resolve();
      };
      video.requestVideoFrameCallback(note);
      video.onended = resolve;
      setTimeout(resolve, 20000);
      video.play().catch(reject);
    });
    video.pause();
    const gaps = times.slice(1).map((time, i) => time - times[i]).filter(gap => gap > 0.001);
    if (!gaps.length) throw unknown;
    return Math.round(1000 / Math.min(...gaps)) / 1000;
  }

  // The first frames of a video file as the model was trained to see them, cropped in the middle and scaled, and the
  // frame rate at which they were taken. `rate` null: that of the training, or of the video.
  async function readVideo(file, count, rate) {
    const facts = info.facts, steps = (facts.every || 1) * (facts.stride || 1);
    const video = document.createElement('video');
    video.muted = true;
    video.src = URL.createObjectURL(file);
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(new Error(`${file.name}: this browser cannot read it as a video`));
    });
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingQuality = 'high';
    const scale = Math.max(width / video.videoWidth, height / video.videoHeight);
    let [w, h] = [width / scale, height / scale];
    if (facts.fit === 'squash') [w, h] = [video.videoWidth, video.videoHeight];
    rate = rate ?? facts.sampled_fps ?? facts.fps ?? (await frameRate(video)) / steps;
    const frames = [];
    for (let number = 0; number < count; number++) {
      const time = (number + 0.5) / rate;
      if (time > video.duration) break;
      const sought = new Promise(resolve => { video.onseeked = resolve; });
      video.currentTime = time;
      await sought;
      context.drawImage(video, (video.videoWidth - w) / 2, (video.videoHeight - h) / 2, w, h, 0, 0, width, height);
      frames.push(planes(context.getImageData(0, 0, width, height).data));
    }
    URL.revokeObjectURL(video.src);
    return { frames, rate };
  }

  function planes(rgba) {
    const frame = new Uint8Array(size);
    for (let i = 0; i < width * height; i++)
      for (let c = 0; c < 3; c++) frame[c * width * height + i] = rgba[4 * i + c];
    return frame;
  }

  // ---- showing clips in the shared player ------------------------------------------------------------------------
  function figure(label, frames, context) {
    const count = frames.length / size, columns = Math.ceil(Math.sqrt(count)), rows = Math.ceil(count / columns);
    const canvas = document.createElement('canvas');
    canvas.width = columns * width;
    canvas.height = rows * height;
    const drawing = canvas.getContext('2d');
    for (let number = 0; number < count; number++) {
      const image = drawing.createImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        for (let c = 0; c < 3; c++) image.data[4 * i + c] = frames[number * size + c * width * height + i];
        image.data[4 * i + 3] = 255;
      }
      drawing.putImageData(image, (number % columns) * width, Math.floor(number / columns) * height);
    }
    const made = document.createElement('figure'), caption = document.createElement('figcaption');
    const sheet = document.createElement('img');
    Object.assign(made.dataset, {
      width, height, frames: count, start: 0, context, cellWidth: width, cellHeight: height, columns, rows,
    });
    made.className = 'vp-clip';
    caption.textContent = label;
    sheet.alt = `All frames of ${label}, row by row`;
    sheet.src = canvas.toDataURL('image/png');
    made.append(caption, sheet);
    return made;
  }

  function show(clips, rate) {
    const player = document.createElement('div'), row = document.createElement('div');
    player.className = 'vidgan-player';
    player.dataset.fps = rate;
    player.tabIndex = 0;
    player.setAttribute('role', 'group');
    player.setAttribute('aria-label', 'Video player');
    row.className = 'vp-clips';
    row.append(...clips.map(clip => figure(clip.label, clip.frames, clip.context || 0)));
    player.append(row);
    results.replaceChildren(player);
  }

  function joined(...parts) {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let place = 0;
    for (const part of parts) { whole.set(part, place); place += part.length; }
    return whole;
  }

  // ---- the form --------------------------------------------------------------------------------------------------
  function value(name) {
    const input = document.getElementById(name);
    if (input.value === '' || !input.checkValidity())
      throw new Error(`${input.parentElement.textContent}: accepted are numbers from ${input.min} to ${input.max}`);
    return Number(input.value);
  }

  async function generate() {
    const choice = document.getElementById('category').value, seed = value('seed'), clips = [];
    const caption = document.getElementById('caption').value.trim() || null;
    for (let row = 0; row < value('clips'); row++) {
      status.textContent = `Drawing clip ${row + 1} of ${value('clips')}`;
      const frames = await drawClip(seed, row, value('frames'), choice === '' ? null : Number(choice), caption);
      const text = info.text_size ? `: ${caption ?? drawnCaption(seed, row)}` : '';
      clips.push({ label: `seed ${seed}, clip ${row}${text}`, frames });
      await new Promise(resolve => setTimeout(resolve));
    }
    show(clips, value('rate'));
    status.textContent = 'Done';
  }

  async function forecast(file) {
    const horizon = value('horizon'), given = value('context');
    status.textContent = `Reading ${file.name}`;
    const chosen = document.getElementById('rate').value === '' ? null : value('rate');
    const { frames, rate } = await readVideo(file, given + horizon, chosen);
    if (frames.length < given)
      throw new Error(`${file.name}: ${frames.length} frames at ${rate} per second; ${given} are needed`);
    const context = joined(...frames.slice(0, given)), truth = frames.slice(given);
    const made = await continueFrames(context, horizon, (done, all) => {
      status.textContent = `Frame ${done} of ${all}`;
    });
    const held = Array.from({ length: horizon }, () => frames[given - 1]);
    const clips = [
      { label: 'forecast', frames: joined(context, made), context: given },
      { label: 'last frame held', frames: joined(context, ...held), context: given },
    ];
    if (truth.length) clips.unshift({ label: 'video', frames: joined(context, ...truth), context: given });
    show(clips, rate);
    status.textContent = `Done: ${given} frames read at ${rate} per second, ${horizon} forecast`;
  }

  function guarded(action) {
    return async (...inputs) => {
      if (document.body.dataset.state === 'busy') return; // one at a time, so that no result mixes two
      document.body.dataset.state = 'busy';
      try {
        await action(...inputs);
        document.body.dataset.state = 'ready';
      } catch (error) {
        status.textContent = String(error.message || error);
        document.body.dataset.state = 'failed';
      }
    };
  }

  function connect() {
    const draw = document.getElementById('draw'), file = document.getElementById('file');
    if (draw) {
      draw.addEventListener('click', guarded(generate));
      draw.disabled = false;
    }
    if (file) {
      const take = guarded(forecast);
      file.addEventListener('change', () => { if (file.files[0]) take(file.files[0]); });
      file.disabled = false;
      document.addEventListener('dragover', event => event.preventDefault());
      document.addEventListener('drop', event => {
        event.preventDefault();
        if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
      });
    }
  }

  window.vidganModel = { drawClip, continueFrames, readVideo };
  guarded(async () => {
    await open();
    connect();
    status.textContent = 'Ready';
  })();
})();
