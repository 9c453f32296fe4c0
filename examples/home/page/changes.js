// The log of changes. It is asked for after an event, for a browser opens only six connections and two are streams.

const MOST = 200
const table = document.querySelector('#changes')
const body = table.querySelector('tbody')
const time = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hour12: false })
let after = 0
let under = null
let again = false

const rowOf = ({ at, protocol, method, path, status, peer }) => {
  const row = document.createElement('tr')
  for (const text of [time.format(at), protocol, method, path, String(status), peer])
    row.append(Object.assign(document.createElement('td'), { textContent: text }))
  if (status >= 400) row.children[4].className = 'refused'
  return row
}

const load = async () => {
  const answer = await fetch(`/changes?after=${after}`).catch(() => null)
  if (answer === null || !answer.ok) return
  const { items, last } = await answer.json()
  // The house has been started again, and counts from one.
  after = last
  for (const change of items) body.prepend(rowOf(change))
  while (body.children.length > MOST) body.lastElementChild.remove()
  if (items.length === 0) return
  table.hidden = false
  document.querySelector('#no-changes').hidden = true
}

/** Shows the changes since the last time, one request at a time. */
export const showChanges = async () => {
  if (under !== null) {
    again = true
    return under
  }
  do {
    again = false
    under = load()
    await under
  } while (again)
  under = null
}
