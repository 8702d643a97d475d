// Begins once the index is read; what goes wrong is said on the page.

let index;
let looks; // curve's name -> its look

async function begin() {
  index = await unpacked(held("data"));
  unseen = new RegExp(index.unseen, "gu");
  looks = new Map(index.looks.map(look => [look.name, look]));
  prepare();
  offerChoices();
  offerFilters();
  list(AT_ONCE);
  drawWhenSeen();
  document.documentElement.dataset.ready = "yes";
}

begin().catch(error => {
  const failed = document.querySelector("#failed");
  failed.textContent = `The pictures and candidates cannot be shown (${error.message}). It takes a browser of 2023 or later.`;
  failed.hidden = false;
  throw error;
});
