// Drives one ComfyUI page in Chromium. Reads commands from stdin and writes answers to stdout, one JSON object a line:
//   {"id": 1, "command": "open", "arguments": {...}}  ->  {"id": 1, "result": ...} or {"id": 1, "error": "..."}
// `browser.py` is its only caller. playwright-core is found through NODE_PATH. The process ends when stdin closes.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-quic", "--font-render-hinting=none",
];
const MIME_TYPES = { ".json": "application/json", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg" };

let browser;
let page;
// What to do with the page's next wish for a file. It has to be listened for from the start, or the browser has its own dialog.
let fileWanted = () => {};
const messages = [];

const commands = {
  async start({ executable, width, height, settings }) {
    const { chromium } = require("playwright-core");
    browser = await chromium.launch({ executablePath: executable, args: FLAGS, headless: true });
    const context = await browser.newContext({ viewport: { width, height }, locale: "en-GB", timezoneId: "UTC" });
    page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error") {
        messages.push({ kind: "console", text: message.text(), url: message.location().url });
      }
    });
    page.on("pageerror", (error) => messages.push({ kind: "exception", text: error.stack || String(error), url: "" }));
    page.on("filechooser", (chooser) => fileWanted(chooser));
    page.on("crash", () => messages.push({ kind: "crash", text: "the page crashed", url: "" }));
    await page.route("**/*", answerRequest(settings));
    return browser.version();
  },

  async open({ url, timeout }) {
    await page.goto(url, { timeout, waitUntil: "domcontentloaded" });
  },

  async evaluate({ code, argument }) {
    return await page.evaluate(
      ([body, value]) => new Function("argument", `return (async () => { ${body} })()`)(value), [code, argument]);
  },

  async wait({ code, argument, timeout }) {
    const handle = await page.waitForFunction(
      ([body, value]) => new Function("argument", body)(value), [code, argument], { timeout, polling: 200 });
    return await handle.jsonValue();
  },

  async drop({ file, selector }) {
    const type = MIME_TYPES[path.extname(file).toLowerCase()] || "application/octet-stream";
    const content = fs.readFileSync(file).toString("base64");
    await page.evaluate(([name, mime, base64, target]) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes], name, { type: mime }));
      const element = document.querySelector(target);
      const box = element.getBoundingClientRect();
      const place = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
      for (const event of ["dragenter", "dragover", "drop"]) {
        element.dispatchEvent(new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true, ...place }));
      }
    }, [path.basename(file), type, content, selector]);
  },

  async click({ selector, timeout }) {
    await page.locator(selector).first().click({ timeout });
  },

  async clickAt({ x, y }) {
    await page.mouse.click(x, y);
  },

  async choose({ x, y, file, timeout }) {
    const asked = new Promise((resolve, reject) => {
      fileWanted = resolve;
      setTimeout(() => reject(new Error(`a click at ${x}, ${y} asked for no file within ${timeout} ms`)), timeout).unref();
    });
    await page.mouse.click(x, y);
    await (await asked).setFiles(file);
  },

  async resize({ width, height }) {
    await page.setViewportSize({ width, height });
  },

  async screenshot({ file }) {
    await page.screenshot({ path: file });
  },

  async messages() {
    return messages;
  },

  async forgetMessages() {
    messages.length = 0;
  },
};

// Nothing may leave the host: such requests are aborted. The page's settings are merged with the caller's, so that no
// test writes to the host's settings of another one.
function answerRequest(settings) {
  return async (route) => {
    const request = route.request();
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.hostname !== "127.0.0.1" && url.hostname !== "localhost") {
      return route.abort();
    }
    if (url.pathname.endsWith("/settings") && request.method() === "GET") {
      const response = await route.fetch();
      return route.fulfill({ response, json: { ...(await response.json()), ...settings } });
    }
    return route.continue();
  };
}

function answer(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { id, command, arguments: given } = JSON.parse(line);
    try {
      answer({ id, result: (await commands[command](given)) ?? null });
    } catch (error) {
      answer({ id, error: String(error.message || error) });
    }
  }
  await browser?.close();
}

main().then(() => process.exit(0), (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
