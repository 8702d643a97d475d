// Begins once the index is read; what goes wrong is said on the page.

let index;

async function begin() {
  index = await unpacked(held("data"));
  unseen = new RegExp(index.unseen, "gu");
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
