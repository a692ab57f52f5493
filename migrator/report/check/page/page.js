'use strict';
(() => {
  const find = document.getElementById('find');
  const troubled = document.getElementById('troubled');
  const cases = [...document.querySelectorAll('.case')];
  const matches = (item, words) => words.every((word) => item.includes(word));

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const allowed = new Set([...document.querySelectorAll('input[name=status]:checked')].map((box) => box.value));
    let shown = 0;
    for (const item of cases) {
      item.hidden = !(allowed.has(item.dataset.status) && matches(item.textContent.toLowerCase(), words));
      shown += !item.hidden;
      const title = item.querySelector('summary').textContent.toLowerCase();
      for (const module of item.querySelectorAll('.tree li')) {
        const calm = troubled.checked && module.classList.contains('calm');
        // A module stays for its own name, or for one inside it.
        module.hidden = calm || (words.length > 0 && !matches(title, words) &&
          !matches(`${module.dataset.text} ${module.textContent}`.toLowerCase(), words));
      }
    }
    document.getElementById('nothing').hidden = shown > 0;
  }

  function step(forward) {
    const causes = [...document.querySelectorAll('.case:not([hidden]) .cause')];
    if (!causes.length) return;
    const here = causes.indexOf(document.activeElement);
    const next = here < 0 ? (forward ? 0 : causes.length - 1) : (here + (forward ? 1 : -1) + causes.length) % causes.length;
    for (let node = causes[next]; node; node = node.parentElement) if (node.tagName === 'DETAILS') node.open = true;
    causes[next].focus();
    causes[next].scrollIntoView({block: 'center'});
  }

  document.getElementById('filters').addEventListener('input', filter);
  document.getElementById('filters').addEventListener('submit', (event) => event.preventDefault());
  document.getElementById('theme').addEventListener('click', () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'INPUT') {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    const actions = {'/': () => find.focus(), n: () => step(true), p: () => step(false)};
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
  // A link to a line opens what it lies in.
  function reveal() {
    const target = document.getElementById(location.hash.slice(1));
    for (let node = target; node; node = node.parentElement) if (node.tagName === 'DETAILS') node.open = true;
    if (target) target.scrollIntoView({block: 'center'});
  }
  addEventListener('hashchange', reveal);
  if (location.hash) reveal();
})();
