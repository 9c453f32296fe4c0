// The page: what the OpenAPI document describes, as cards that open.

const METHODS = ['get', 'put', 'patch', 'post', 'delete', 'query', 'head', 'options', 'trace']
const MOST_SHOWN = 200

const links = JSON.parse(document.body.dataset.links)
const main = document.querySelector('#resources')
const status = document.querySelector('#status')
const search = document.querySelector('#search')

const operationsOf = item => [
  ...METHODS.filter(method => item[method] !== undefined).map(method => [method, item[method]]),
  ...Object.entries(item.additionalOperations ?? {})
]

const part = (title, ...content) => create('section', { class: 'part' }, create('h4', {}, title), ...content)

const answersOf = operation =>
  create(
    'dl',
    { class: 'answers' },
    Object.entries(operation.responses ?? {}).flatMap(([code, response]) => [create('dt', {}, code === 'default' ? 'other' : code), create('dd', {}, resolved(response).description ?? '')])
  )

const schemaIn = holder => Object.values(resolved(holder ?? {}).content ?? {}).find(media => media.schema !== undefined)?.schema

const detailsOf = (path, method, operation) => {
  const body = schemaIn(operation.requestBody)
  const answer = schemaIn(operation.responses?.[200] ?? operation.responses?.[201])
  const parameters = (operation.parameters ?? []).map(resolved).filter(parameter => parameter.description)
  const schemes = (operation.security ?? []).flatMap(Object.keys)
  return create(
    'div',
    { class: 'inside' },
    operation.description ? create('p', {}, operation.description) : '',
    create(
      'div',
      {},
      body !== undefined ? part('Takes', schemaList(body)) : '',
      answer !== undefined && Object.keys(answer).length > 0 ? part('Answers', schemaList(answer)) : '',
      parameters.length > 0
        ? part('Parameters', create('ul', { class: 'schema' }, parameters.map(({ name, description }) => create('li', {}, create('code', {}, name), create('span', { class: 'say' }, ` ${description}`)))))
        : '',
      schemes.length > 0 || operation['x-guarded'] ? part('Who may', create('p', { class: 'say' }, schemes.length > 0 ? `Users known by ${schemes.join(' or ')}.` : 'Users that a guard lets pass.')) : '',
      part('Status', answersOf(operation))
    ),
    part('Try it', requestForm(path, method, operation))
  )
}

/** What each method does to a resource whose title says nothing of the method. */
const VERBS = { get: 'Read', put: 'Replace', patch: 'Change', delete: 'Remove', head: 'Look', post: 'Act', query: 'Ask' }

const operationView = (path, method, operation, title) => {
  const secured = operation.security !== undefined || operation['x-guarded'] === true
  const live = 'text/event-stream' in (resolved(operation.responses?.[200] ?? {}).content ?? {})
  const view = create(
    'details',
    { class: 'operation' },
    create(
      'summary',
      {},
      create('span', { class: `method ${method.toLowerCase()}` }, method.toUpperCase()),
      create('span', {}, operation.summary === undefined || operation.summary === title ? (VERBS[method] ?? title) : operation.summary),
      live ? create('span', { class: 'tag' }, 'live') : '',
      secured ? create('span', { class: 'tag' }, 'secured') : ''
    )
  )
  // A document may have thousands of operations: each is made when it is opened.
  view.addEventListener('toggle', () => view.open && view.children.length === 1 && view.append(detailsOf(path, method, operation)))
  return view
}

/** The path with its parameters marked. */
const pathView = path => path.split(/(\{[^}]*\})/).map(text => (text.startsWith('{') ? create('em', {}, text) : text))

const resourceView = ([path, item]) => {
  const operations = operationsOf(item)
  const [first] = operations
  return create(
    'article',
    { class: 'resource' },
    create('h3', {}, create('span', {}, pathView(path)), create('small', {}, first?.[1].summary ?? '')),
    operations.map(([method, operation]) => operationView(path, method, operation, first?.[1].summary ?? ''))
  )
}

const textOf = ([path, item]) => `${path} ${operationsOf(item).map(([method, { summary = '', description = '' }]) => `${method} ${summary} ${description}`).join(' ')}`.toLowerCase()

const show = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(word => word !== '')
  const found = Object.entries(api.paths ?? {}).filter(entry => words.every(word => textOf(entry).includes(word)))
  const groups = new Map()
  for (const entry of found.slice(0, MOST_SHOWN)) {
    const tag = operationsOf(entry[1])[0]?.[1].tags?.[0] ?? 'The rest'
    groups.set(tag, [...(groups.get(tag) ?? []), entry])
  }
  status.textContent = found.length === 0 ? 'No resource matches.' : found.length > MOST_SHOWN ? `${MOST_SHOWN} of ${found.length} resources; filter to see others.` : ''
  status.hidden = status.textContent === ''
  main.replaceChildren(status, ...Array.from(groups, ([tag, entries]) => [create('h2', {}, tag), ...entries.map(resourceView)]).flat())
}

const start = async () => {
  const names = { openapi: 'OpenAPI', asyncapi: 'AsyncAPI', thing: 'Thing Description', things: 'Things' }
  document.querySelector('#documents').replaceChildren(...Object.entries(names).flatMap(([key, name]) => (links[key] === undefined ? [] : [create('a', { href: links[key] }, name)])))
  if (links.openapi === undefined) {
    status.textContent = 'This app serves no OpenAPI document.'
    return
  }
  const authorization = document.querySelector('#authorization').value.trim()
  const response = await fetch(links.openapi, { headers: authorization === '' ? {} : { authorization } })
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`)
  api = await response.json()
  document.querySelector('#version').textContent = api.info.version
  const description = document.querySelector('#description')
  description.textContent = api.info.description ?? ''
  description.hidden = description.textContent === ''
  show()
}

search.addEventListener('input', show)
document.querySelector('#authorization').addEventListener('change', () => start().catch(failed))
addEventListener('keydown', event => {
  if (event.key !== '/' || /^(?:INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? '')) return
  event.preventDefault()
  search.focus()
})
const failed = error => (status.textContent = `The OpenAPI document cannot be read: ${error.message}`)
start().catch(failed)
