// One event stream of a collection. The browser connects again by itself; what was lost meanwhile is in the first event.

/** Milliseconds after which a stream that the browser has given up is opened again. */
const AGAIN = 1000

/** Calls `items` with each new content of a collection and whether it has more, and `state` with `waiting`, `live` or `lost`. */
export const observe = (path, { items, state }) => {
  const source = new EventSource(path)
  state('waiting')
  source.onopen = () => state('live')
  source.onmessage = ({ data }) => {
    state('live')
    const page = JSON.parse(data)
    items(page.items, page.next !== undefined)
  }
  source.onerror = () => {
    state('lost')
    // An answer other than a stream ends it for good, such as that of a proxy while the server starts again.
    if (source.readyState !== EventSource.CLOSED) return
    source.close()
    setTimeout(observe, AGAIN, path, { items, state })
  }
}
