// Others' text as text: never markup, and what cannot be seen in it is written out, apart from the rest.

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" }; // those that highlight.js writes
let unseen = /[]/gu; // the index says which characters cannot be seen

function escaped(character) {
  const point = character.codePointAt(0);
  if (point < 0x100) return "\\x" + point.toString(16).padStart(2, "0");
  return point < 0x10000 ? "\\u" + point.toString(16).padStart(4, "0") : "\\U" + point.toString(16).padStart(8, "0");
}

function visible(text) {
  return text.replaceAll("\r\n", "\n").replace(unseen, escaped);
}

// An element with attributes and children; strings among them become text.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  made.append(...children.filter(child => child !== null).map(child => (typeof child === "string" ? visible(child) : child)));
  return made;
}

// Characters made visible stand out from the same escape written out.
function mark(node) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts) {
    unseen.lastIndex = 0;
    if (!unseen.test(text.data)) continue;
    const pieces = text.data.split(new RegExp("(" + unseen.source + ")", "u"));
    text.replaceWith(...pieces.map((piece, place) => (place % 2 ? element("span", { class: "unseen" }, piece) : piece)));
  }
  return node;
}

// Python with its parts in spans. Its markup is read here rather than by the browser, which would drop characters.
function highlighted(text) {
  const open = [document.createDocumentFragment()];
  const { value } = hljs.highlight(text, { language: "python", ignoreIllegals: true });
  for (const piece of value.split(/(<span class="[^"]*">|<\/span>)/)) {
    if (piece === "</span>") open.pop();
    else if (piece.startsWith("<span ")) {
      const span = element("span", { class: piece.slice('<span class="'.length, -'">'.length) });
      open.at(-1).append(span);
      open.push(span);
    } else open.at(-1).append(piece.replace(/&(?:amp|lt|gt|quot|#x27);/g, entity => ENTITIES[entity]));
  }
  return open[0];
}

// A clipped text in a box that can be scrolled with the keyboard; Python is highlighted.
function listing(clipped, kind, label) {
  const text = clipped.text.replaceAll("\r\n", "\n");
  const code = document.createElement("code");
  if (kind === "code") code.append(highlighted(text));
  else code.textContent = text;
  const box = element("pre", { class: kind, tabindex: 0, role: "region", "aria-label": label }, mark(code));
  if (clipped.length <= clipped.text.length) return [box];
  const [shown, all] = [clipped.text.length, clipped.length].map(size => size.toLocaleString("en"));
  return [box, element("p", { class: "note" }, `Only the first ${shown} of ${all} characters are shown; tts export writes them all.`)];
}
