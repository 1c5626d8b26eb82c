// Two elements of the page: <recycle-upload> sends files to the server, <recycle-player> shows a source beside its
// translation. Both are plain custom elements, so that they need no library.

class Upload extends HTMLElement {
  connectedCallback() {
    const id = `file-${Math.random().toString(36).slice(2)}`;
    this.innerHTML = `<input type="file" multiple id="${id}"><label for="${id}"></label>`;
    this.input = this.querySelector("input");
    this.label = this.querySelector("label");
    this.say(this.idle());
    this.input.addEventListener("change", () => this.send([...this.input.files]));
    for (const name of ["dragenter", "dragover"]) this.addEventListener(name, (e) => this.hover(e, true));
    for (const name of ["dragleave", "drop"]) this.addEventListener(name, (e) => this.hover(e, false));
    this.addEventListener("drop", (event) => this.send([...event.dataTransfer.files]));
  }
  idle() { return "Drop files here, or choose them to upload"; }
  say(text) { this.label.textContent = text; }
  hover(event, on) { event.preventDefault(); this.classList.toggle("over", on); }
  async send(files) {
    const most = Number(this.getAttribute("most-files")), size = Number(this.getAttribute("most-bytes"));
    if (!files.length || this.busy) return;
    if (files.length > most) return this.fail(`At most ${most} files can be uploaded together.`);
    const large = files.find((file) => file.size > size);
    if (large) return this.fail(`${large.name} is larger than ${size / 2 ** 30} GiB.`);
    this.busy = true;
    const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
    let before = 0;
    try {
      for (const file of files) {
        await this.put(file, (done) => this.say(`Uploading ${file.name}: ${Math.floor((100 * (before + done)) / total)} %`));
        before += file.size;
      }
      this.say(files.length === 1 ? `${files[0].name} is uploaded` : `${files.length} files are uploaded`);
      this.dispatchEvent(new CustomEvent("uploaded"));
    } catch (error) { this.fail(error.message); }
    this.busy = false;
    this.input.value = "";
  }
  put(file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("PUT", `${this.getAttribute("to")}/${encodeURIComponent(file.name)}`);
      request.upload.onprogress = (event) => progress(event.loaded);
      request.onload = () => {
        if (request.status === 204) return resolve();
        let why = request.responseText;
        try { why = JSON.parse(why).detail; } catch { /* plain text */ }
        reject(new Error(why));
      };
      request.onerror = () => reject(new Error("The upload was interrupted; try again."));
      request.send(file);
    });
  }
  fail(text) { this.say(text); this.classList.add("failed"); setTimeout(() => this.classList.remove("failed"), 6000); }
}

class Player extends HTMLElement {
  connectedCallback() {
    this.innerHTML = `
      <div class="stage">
        <video class="result" muted loop playsinline preload="auto"></video>
        <video class="source" muted loop playsinline preload="auto"></video>
        <div class="edge" aria-hidden="true"></div>
        <span class="tag left"></span><span class="tag right"></span>
        <input class="wipe" type="range" min="0" max="100" step="0.5" value="50" aria-label="Share of the source that is shown">
      </div>
      <div class="controls">
        <button type="button" class="play" aria-label="Play">▶</button>
        <input class="scrub" type="range" min="0" max="1000" value="0" aria-label="Position">
        <output class="time">0.0 s</output>
        <button type="button" class="view"></button>
      </div>`;
    for (const name of ["result", "source", "wipe", "play", "scrub", "time", "view", "stage"]) {
      this[name] = this.querySelector(`.${name}`);
    }
    this.querySelector(".left").textContent = this.getAttribute("source-name");
    this.querySelector(".right").textContent = this.getAttribute("result-name");
    this.result.setAttribute("aria-label", this.getAttribute("result-name"));
    this.source.setAttribute("aria-label", this.getAttribute("source-name"));
    this.wipe.addEventListener("input", () => this.cut());
    this.play.addEventListener("click", () => (this.result.paused ? this.start() : this.stop()));
    this.scrub.addEventListener("input", () => {
      this.stop();
      this.seek((this.scrub.value / 1000) * (this.result.duration || 0));
    });
    this.view.addEventListener("click", () => this.arrange(!this.classList.contains("beside")));
    this.result.addEventListener("loadedmetadata", () => {
      this.style.setProperty("--ratio", this.result.videoWidth / this.result.videoHeight);
      this.tick();
    });
    this.result.src = this.getAttribute("result-url");
    const source = this.getAttribute("source-url");
    if (source) this.source.src = source;
    this.classList.toggle("alone", !source);
    this.arrange(false);
    this.cut();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.result.addEventListener("canplay", () => this.start(), { once: true });
    }
  }
  disconnectedCallback() { cancelAnimationFrame(this.frame); }
  cut() { this.style.setProperty("--cut", `${this.wipe.value}%`); }
  arrange(beside) {
    this.classList.toggle("beside", beside);
    this.view.textContent = beside ? "Slider" : "Side by side";
  }
  start() {
    this.result.play().catch(() => {});
    if (this.source.src) this.source.play().catch(() => {});
    this.play.textContent = "❚❚";
    this.play.setAttribute("aria-label", "Pause");
    this.loop();
  }
  stop() {
    this.result.pause();
    this.source.pause();
    this.play.textContent = "▶";
    this.play.setAttribute("aria-label", "Play");
  }
  seek(time) { this.result.currentTime = time; if (this.source.src) this.source.currentTime = time; this.tick(); }
  loop() {
    cancelAnimationFrame(this.frame);
    const step = () => {
      if (this.result.paused) return;
      // The translation is the clock; the source follows where it drifts by more than a frame.
      if (this.source.src && Math.abs(this.source.currentTime - this.result.currentTime) > 0.06) {
        this.source.currentTime = this.result.currentTime;
      }
      this.tick();
      this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }
  tick() {
    const { currentTime: now, duration } = this.result;
    if (duration) this.scrub.value = (1000 * now) / duration;
    this.time.textContent = `${now.toFixed(1)} s`;
  }
}

customElements.define("recycle-upload", Upload);
customElements.define("recycle-player", Player);
