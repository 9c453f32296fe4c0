// The page: a form to sign in, then a card for each bed, kept live by one event stream for each collection.

/** Milliseconds after which streams that were refused are opened again. */
const AGAIN = 1000

const find = selector => document.querySelector(selector)
const status = find('#status')
const fault = find('#fault')
const cards = new Map()
let streams = []
let again
let mayChange = false

/** Sends a request, and shows why it was refused. */
const ask = async (path, init) => {
  fault.hidden = true
  const answer = await fetch(path, init).catch(() => null)
  if (answer?.ok) return answer
  fault.textContent = answer === null ? 'The greenhouse does not answer.' : (await answer.json()).detail
  fault.hidden = false
  return null
}
const send = (method, path, value) => ask(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) })

const addCard = id => {
  const card = find('#bed').content.firstElementChild.cloneNode(true)
  const valve = card.querySelector('.valve')
  const upload = card.querySelector('input')
  card.querySelector('h2').textContent = id
  valve.setAttribute('aria-label', `Valve of ${id}`)
  valve.disabled = !mayChange
  valve.onclick = () => send('PUT', `/valves/${encodeURIComponent(id)}`, { open: valve.getAttribute('aria-checked') !== 'true' })
  card.querySelector('.upload').hidden = !mayChange
  upload.setAttribute('aria-label', `New photo of ${id}`)
  upload.onchange = async () => {
    const body = new FormData()
    body.append('photo', upload.files[0])
    await ask(`/photos/${encodeURIComponent(id)}`, { method: 'PUT', body })
    upload.value = ''
  }
  find('#beds').append(card)
  cards.set(id, card)
  return card
}
const cardOf = id => cards.get(id) ?? addCard(id)

/** What each collection shows. */
const SHOW = {
  '/beds': ({ items }) => {
    for (const { id, state } of items) {
      cardOf(id).querySelector('.moisture').textContent = `${state.moisture} %`
      cardOf(id).querySelector('.temperature').textContent = `${state.temperature} °C`
    }
  },
  '/valves': ({ items }) => {
    for (const { id, state } of items) {
      const valve = cardOf(id).querySelector('.valve')
      valve.setAttribute('aria-checked', String(state.open))
      valve.textContent = state.open ? 'Open' : 'Closed'
    }
  },
  '/photos': counts => {
    for (const [id, count] of Object.entries(counts)) {
      const image = cardOf(id).querySelector('img')
      image.src = `/photos/${encodeURIComponent(id)}?count=${count}`
      image.alt = `Photo of ${id}`
      image.hidden = false
    }
  }
}

const observe = path => {
  const stream = new EventSource(path)
  stream.onmessage = ({ data }) => SHOW[path](JSON.parse(data))
  // The browser connects again by itself, except where the greenhouse refuses: the session may have ended.
  stream.onerror = () => {
    if (stream.readyState !== EventSource.CLOSED) return
    clearTimeout(again)
    again = setTimeout(start, AGAIN)
  }
  return stream
}

/** Shows what the user of the session may see. */
const start = async () => {
  for (const stream of streams) stream.close()
  streams = []
  cards.clear()
  find('#beds').replaceChildren()
  const { id, roles = [] } = (await (await ask('/session'))?.json()) ?? {}
  const isReader = roles.includes('gardener') || roles.includes('visitor')
  mayChange = roles.includes('gardener')
  find('#sign-in').hidden = id !== undefined
  find('#sign-out').hidden = id === undefined
  status.textContent = id === undefined ? 'Not signed in' : `Signed in as ${id}`
  if (isReader) streams = Object.keys(SHOW).map(observe)
}

find('#sign-in').onsubmit = async event => {
  event.preventDefault()
  const form = event.currentTarget
  if ((await send('POST', '/session', Object.fromEntries(new FormData(form)))) === null) return
  form.reset()
  await start()
}
find('#sign-out').onclick = async () => {
  if ((await ask('/session', { method: 'DELETE' })) !== null) await start()
}

await start()
