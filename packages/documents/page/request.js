// The form of one operation: it sends a request, and observes.

const MOST_EVENTS = 30

const pretty = text => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

const urlOf = (path, parameters, values) => {
  const base = (api.servers?.[0]?.url ?? '').replace(/\/$/, '')
  const own = base.startsWith('/') || base === '' ? base : new URL(base).origin === location.origin ? new URL(base).pathname.replace(/\/$/, '') : base
  const filled = path.replace(/\{([^}]*)\}/g, (_, name) => {
    const { allowReserved } = parameters.find(parameter => parameter.in === 'path' && parameter.name === name) ?? {}
    const value = values[`path ${name}`] ?? ''
    return allowReserved ? value.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(value)
  })
  const query = new URLSearchParams()
  for (const { name, in: place } of parameters) if (place === 'query' && values[`query ${name}`]) query.append(name, values[`query ${name}`])
  return own + filled + (query.size > 0 ? `?${query}` : '')
}

const headersOf = (parameters, values) => {
  const headers = new Headers()
  for (const { name, in: place } of parameters) if (place === 'header' && values[`header ${name}`]) headers.set(name, values[`header ${name}`])
  const authorization = document.querySelector('#authorization').value.trim()
  if (authorization !== '') headers.set('authorization', authorization)
  return headers
}

const showAnswer = async (result, response, since) => {
  const text = await response.text()
  const etag = response.headers.get('etag')
  result.replaceChildren(
    create(
      'p',
      { class: 'line' },
      create('b', { class: response.ok || response.status === 304 ? 'ok' : 'bad' }, `${response.status} ${response.statusText}`),
      create('span', { class: 'say' }, `${Math.round(performance.now() - since)} ms`),
      create('span', { class: 'type' }, response.headers.get('content-type') ?? 'no body'),
      etag ? create('span', { class: 'type' }, `ETag ${etag}`) : ''
    ),
    text === '' ? '' : create('pre', { tabindex: '0', 'aria-label': 'Body of the answer' }, pretty(text).slice(0, 200_000))
  )
}

const showFailure = (result, error) => result.replaceChildren(create('p', { class: 'line' }, create('b', { class: 'bad' }, `No answer: ${error.message}`)))

/** Reads the events of a stream until it ends; fetch can send an Authorization field, which EventSource cannot. */
const readEvents = async (response, take) => {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (rest + part.value).split(/\r?\n\r?\n/)
    rest = events.pop()
    for (const event of events) {
      const lines = event.split(/\r?\n/)
      const data = lines.filter(line => line.startsWith('data:')).map(line => line.slice(5).replace(/^ /, ''))
      const name = lines.find(line => line.startsWith('event:'))?.slice(6).trim()
      if (data.length > 0) take(data.join('\n'), name)
    }
  }
}

const observe = async (url, headers, result, signal) => {
  headers.set('accept', 'text/event-stream')
  const since = performance.now()
  const response = await fetch(url, { headers, signal })
  if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) return showAnswer(result, response, since)
  const state = create('p', { class: 'line' }, create('b', { class: 'ok' }, 'Live'), create('span', { class: 'say' }, 'Each change appears here.'))
  const list = create('ol', { class: 'events', 'aria-label': 'States, the newest first' })
  result.replaceChildren(state, list)
  try {
    await readEvents(response, (data, name) => {
      const time = new Date().toLocaleTimeString()
      list.prepend(create('li', {}, create('time', {}, name === undefined ? time : `${time} ${name}`), create('pre', { tabindex: '0', 'aria-label': `State at ${time}` }, pretty(data))))
      while (list.children.length > MOST_EVENTS) list.lastChild.remove()
    })
  } finally {
    state.replaceChildren(create('b', {}, 'Ended'))
  }
}

const requestForm = (path, method, operation) => {
  const parameters = (operation.parameters ?? []).map(resolved)
  const content = Object.entries(resolved(operation.requestBody ?? {}).content ?? {})
  const canObserve = 'text/event-stream' in (resolved(operation.responses?.[200] ?? {}).content ?? {})
  const result = create('div', { class: 'result', role: 'status' })
  const input = (label, name, attributes) => create('label', {}, create('span', {}, label), create('input', { name, autocomplete: 'off', spellcheck: 'false', ...attributes }))
  const inputs = parameters.map(({ name, in: place, required, schema }) =>
    input(`${name} (${place})`, `${place} ${name}`, { required: required === true, value: schema?.default, placeholder: typeText(schema ?? {}) })
  )
  const types = create('select', { name: 'type' }, content.map(([type]) => create('option', { value: type }, type)))
  const wanted = !['get', 'head', 'delete'].includes(method)
  const body = create('textarea', { name: 'body', spellcheck: 'false' })
  const begin = () => {
    const [, media] = content.find(([type]) => type === types.value) ?? []
    body.value = media === undefined ? '' : JSON.stringify(exampleOf(media.schema ?? {}), null, 2)
  }
  types.addEventListener('change', begin)
  begin()
  const valuesOf = form => Object.fromEntries(new FormData(form))
  let watching
  const stop = () => {
    watching?.abort()
    watching = undefined
    live.setAttribute('aria-pressed', 'false')
    live.textContent = 'Observe'
  }
  const live = create('button', { type: 'button', class: 'plain', 'aria-pressed': 'false', onclick: async () => {
    if (watching !== undefined) return stop()
    if (!form.reportValidity()) return
    const own = (watching = new AbortController())
    live.setAttribute('aria-pressed', 'true')
    live.textContent = 'Stop'
    const values = valuesOf(form)
    try {
      await observe(urlOf(path, parameters, values), headersOf(parameters, values), result, own.signal)
    } catch (error) {
      if (!own.signal.aborted) showFailure(result, error)
    }
    if (watching === own) stop()
  } }, 'Observe')
  const send = async event => {
    event.preventDefault()
    stop()
    const values = valuesOf(form)
    const headers = headersOf(parameters, values)
    const hasBody = wanted && body.value.trim() !== ''
    if (hasBody) headers.set('content-type', values.type ?? 'application/json')
    const since = performance.now()
    try {
      await showAnswer(result, await fetch(urlOf(path, parameters, values), { method: method.toUpperCase(), headers, body: hasBody ? body.value : undefined }), since)
    } catch (error) {
      showFailure(result, error)
    }
  }
  const form = create(
    'form',
    { onsubmit: send, onkeydown: event => event.key === 'Enter' && (event.ctrlKey || event.metaKey) && form.requestSubmit() },
    inputs,
    wanted && content.length > 1 ? create('label', {}, create('span', {}, 'Content type'), types) : '',
    wanted ? create('label', {}, create('span', {}, content.length === 1 ? `Body (${content[0][0]})` : 'Body'), body) : '',
    wanted && content.length === 1 ? create('input', { type: 'hidden', name: 'type', value: content[0][0] }) : '',
    create('div', { class: 'buttons' }, create('button', { type: 'submit' }, 'Send'), canObserve ? live : ''),
    result
  )
  return form
}
