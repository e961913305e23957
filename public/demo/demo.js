// Fetches the page again each second and exchanges what has changed in its lists. Without JavaScript, reload.
const served = new Map()
for (const item of document.querySelectorAll('#people > li, #mails > li')) served.set(item.id, item.outerHTML)

// What the visitor did to an item stays: opened details, and where the focus is.
const keep = (now, next) => {
  for (const { id } of now.querySelectorAll('details[open]')) next.querySelector(`#${CSS.escape(id)}`)?.setAttribute('open', '')
  const at = document.activeElement
  const found = !now.contains(at)
    ? undefined
    : at.matches('summary')
      ? next.querySelector(`#${CSS.escape(at.parentElement.id)} summary`)
      : next.querySelector(`a[href="${CSS.escape(at.getAttribute('href') ?? '')}"]`)
  now.replaceWith(next)
  found?.focus({ preventScroll: true })
}

const patch = (list, items) => {
  let place = list.firstElementChild
  for (const next of [...items]) {
    const now = document.getElementById(next.id)
    const html = next.outerHTML
    if (now && served.get(next.id) === html) {
      place = now.nextElementSibling
      continue
    }
    served.set(next.id, html)
    next.classList.add('fresh')
    if (now) keep(now, next)
    else list.insertBefore(next, place)
    place = next.nextElementSibling
  }
}

const refresh = async () => {
  try {
    const fresh = new DOMParser().parseFromString(await (await fetch('/')).text(), 'text/html')
    for (const id of ['people', 'mails']) patch(document.getElementById(id), fresh.getElementById(id).children)
    const [tally, news] = [document.getElementById('tally'), fresh.getElementById('tally').textContent]
    if (tally.textContent !== news) tally.textContent = news
  } catch {
    // The demo was stopped: the page stays as it was.
  }
  setTimeout(refresh, document.hidden ? 5000 : 1000)
}
setTimeout(refresh, 1000)

const form = document.querySelector('form')
form.addEventListener('submit', () => {
  const button = form.querySelector('button')
  button.disabled = true
  button.textContent = 'Sending …'
})
// Coming back by the browser's history may show the page as it was left.
window.addEventListener('pageshow', () => {
  const button = form.querySelector('button')
  button.disabled = false
  button.textContent = 'Send to all'
})
