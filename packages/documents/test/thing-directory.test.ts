import { App, defineMiddleware, IopaError } from '@iopa/appbuilder'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { documents } from '../src/index.ts'
import { INFO } from './fixtures/apps.ts'

const note = resource('/notes/{owner}/{id}', { title: 'A note', state: z.object({ text: z.string() }), methods: { get: {} } })
const paths = Array.from({ length: 60 }, (_, at) => `/notes/${at % 3 === 0 ? 'ada' : 'bob'}/n${at}`)

/** Notes that their owners alone may read. */
const notes = (protect: boolean) => {
  const auth = defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context, next) => {
    const id = context.headers.get('x-user') ?? ''
    context['server.User'] = { id, by: 'test' }
    return next()
  })
  const app = new App({ logger: false })
    .use(auth)
    .use(router())
    .use(resources())
    .use(documents({ ...INFO, ...(protect && { protect }) }))
  const get = ({ params, context }: { params: { owner: string }; context: { user?: { id: string } } }) => {
    if (context.user?.id !== params.owner) throw new IopaError(403, 'not-permitted', 'It is not yours.')
    return { text: 'secret' }
  }
  app.serve(note, { get: get as never }, { instances: () => paths })
  return async (path: string, query = '') => {
    const answer = await app.invoke({ 'iopa.Path': path, 'iopa.QueryString': query, 'iopa.Headers': { 'x-user': 'ada' } })
    return { status: answer.status, link: answer.headers.get('link'), text: await answer.text() }
  }
}

test('shows with protect the instances alone that the user may GET, over all pages', async () => {
  const ask = notes(true)
  const titles: string[] = []
  for (let offset = 0; ; offset += 25) {
    const { text, link } = await ask('/things', `offset=${offset}&limit=25`)
    titles.push(...(JSON.parse(text) as { title: string }[]).map(({ title }) => title))
    if (link === undefined) break
  }
  expect(titles).toEqual(paths.filter(path => path.includes('ada')).map(path => `A note ada ${path.split('/')[3]}`))
  expect((await ask('/things/notes/ada/n0')).status).toBe(200)
  expect((await ask('/things/notes/bob/n1')).text).toBe((await ask('/things/notes/bob/n7')).text.replace('n7', 'n1'))
  expect((await ask('/things/notes/bob/n1')).status).toBe(404)
})

test('shows all instances without protect', async () => {
  const ask = notes(false)
  expect(JSON.parse((await ask('/things')).text)).toHaveLength(paths.length)
  expect((await ask('/things/notes/bob/n1')).status).toBe(200)
})

test('does other work while a page of 1,000 is made', async () => {
  const app = new App({ logger: false })
    .use(router())
    .use(resources())
    .use(documents({ ...INFO, servers: ['https://api.example.com'] }))
  app.serve(note, { get: () => ({ text: '' }) }, { instances: () => Array.from({ length: 1000 }, (_, at) => `/notes/ada/n${at}`) })
  let turns = 0
  let made = false
  const turn = (): void => void (made || (turns++, setImmediate(turn)))
  turn()
  const answer = await app.invoke({ 'iopa.Path': '/things', 'iopa.QueryString': 'limit=1000' })
  made = true
  expect(await answer.json()).toHaveLength(1000)
  expect(turns).toBeGreaterThan(3)
})
