// What the page works with: the index, and groups of candidates, in the page or in scripts beside it.

const loads = new Map(); // group -> what is, or will be, its candidates
const asked = new Map(); // group -> who waits for its script

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function held(id) {
  return document.getElementById(id).textContent;
}

const source = JSON.parse(held("source"));

// Each file beside the page calls this.
window.ttsGroup = (token, number, text) => {
  const [resolve, reject] = asked.get(number) ?? [];
  if (token === source.token) resolve?.(text);
  else reject?.(new Error(`${source.folder}/${number}.js belongs to another page. Run tts report again.`));
};

function fetched(number) {
  const missing = new Error(`${source.folder}/${number}.js cannot be read. Keep the folder ${source.folder} beside this page.`);
  return new Promise((resolve, reject) => {
    asked.set(number, [resolve, reject]);
    const script = element("script", { src: `${encodeURIComponent(source.folder)}/${number}.js` });
    script.addEventListener("error", () => reject(missing));
    document.head.append(script);
  });
}

function group(number) {
  if (!loads.has(number))
    loads.set(number, Promise.resolve(source.folder === null ? held(`group-${number}`) : fetched(number)).then(unpacked));
  return loads.get(number);
}
