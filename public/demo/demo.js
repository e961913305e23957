// Keeps the page fresh: fetches it again each second and exchanges the live part. Without JavaScript, reload.
const refresh = async () => {
  try {
    const response = await fetch('/')
    const fresh = new DOMParser().parseFromString(await response.text(), 'text/html').getElementById('live')
    const live = document.getElementById('live')
    if (fresh && live && fresh.innerHTML !== live.innerHTML && !live.contains(document.activeElement)) live.replaceWith(fresh)
  } catch {
    // The demo was stopped: the page stays as it was.
  }
  setTimeout(refresh, 1000)
}
setTimeout(refresh, 1000)
