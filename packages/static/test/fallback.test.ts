import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { memory, serveStatic } from '../src/index.ts'

const pages = () => serveStatic(memory({ '/index.html': '<app>', '/a.txt': 'a' }), { fallback: '/index.html' })
const ask = async (app: App, method: string, path: string) => {
  const answer = await app.invoke({ 'iopa.Method': method, 'iopa.Path': path })
  return [answer.status, answer.ok ? await answer.text() : answer.error?.code]
}

test('fallback answers GET and HEAD of paths that nothing else answers, in any position', async () => {
  const app = new App({ logger: false })
    .use(pages())
    .use(router())
    .get('/api/x', () => 'api')
  expect(await ask(app, 'GET', '/deep/link')).toEqual([200, '<app>'])
  expect((await ask(app, 'HEAD', '/deep/link'))[0]).toBe(200)
  expect(await ask(app, 'GET', '/api/x')).toEqual([200, 'api'])
  expect(await ask(app, 'GET', '/a.txt')).toEqual([200, 'a'])
  expect(await ask(app, 'PUT', '/deep/link')).toEqual([404, 'no-route'])
})

test('fallback does not answer for a path that has routes for other methods', async () => {
  for (const app of [
    new App({ logger: false })
      .use(router())
      .post('/api/x', () => 'made')
      .use(pages()),
    new App({ logger: false })
      .use(pages())
      .use(router())
      .post('/api/x', () => 'made')
  ])
    expect(await ask(app, 'GET', '/api/x')).toEqual([405, 'method-not-allowed'])
})

test('a missing fallback file leaves 404', async () => {
  const app = new App({ logger: false }).use(serveStatic(memory({}), { fallback: '/index.html' }))
  expect(await ask(app, 'GET', '/x')).toEqual([404, 'no-route'])
})

test('serveStatic notes the methods of a file, and later middleware answers the others', async () => {
  const app = new App({ logger: false })
    .use(pages())
    .use(router())
    .put('/a.txt', () => 'written')
  expect(await ask(app, 'PUT', '/a.txt')).toEqual([200, 'written'])
  const answer = await app.invoke({ 'iopa.Method': 'DELETE', 'iopa.Path': '/a.txt' })
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS, PUT'])
})

test('serveStatic refuses unknown options by name', () => {
  expect(() => serveStatic(memory({}), { maxage: 1 } as never)).toThrow(/serveStatic\(\) has no option 'maxage'.*fallback\.test\.ts/)
  expect(() => serveStatic(memory({}), { cache: { size: 1 } } as never)).toThrow(/'cache' of serveStatic\(\) has no option 'size'/)
  expect(() => new App().use(serveStatic as never)).toThrow(/as in serveStatic\(\)/)
})
