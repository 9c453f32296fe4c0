import { App, defineMiddleware, IopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { parseLinks } from '../src/formats/link-format.ts'

test('lists the first 1,000 instances, reads no more of them, and lists every route without parameters', async () => {
  let read = 0
  function* lights(): Generator<string> {
    for (let at = 0; at < 1_000_000; at++, read++) yield `/lights/l${at}`
  }
  const app = new App({ logger: false })
    .use(router())
    .use(coap({ port: 0, host: '127.0.0.1' }))
    .get('/first', () => 1)
    .get('/lights/:id', { rt: 'light', instances: lights }, () => 1)
    .put('/lights/:id', { title: 'Switches', instances: lights }, () => 1)
    .get('/plugs/:id', { instances: () => ['/plugs/tv'] }, () => 1)
    .get('/last', () => 1)
  await app.listen()
  const client = await app.connect(app.explain().transports[0]?.urls[0] as string)
  const links = parseLinks(await (await client.get('/.well-known/core')).text())
  expect(links.filter(({ href }) => href.startsWith('/lights/'))).toHaveLength(1000)
  expect(links.find(({ href }) => href === '/lights/l999')?.attributes).toEqual({ rt: 'light', title: 'Switches', obs: true })
  expect(links.map(({ href }) => href)).toEqual(expect.arrayContaining(['/first', '/last']))
  expect(read).toBeLessThan(10_000)
  await client.close()
  await app.close()
})

test('lists the instances that the user may read, and no others', async () => {
  let user = 'ann'
  const owners: Record<string, string> = { a: 'ann', b: 'bob' }
  const app = new App({ logger: false })
    .use(
      defineMiddleware({ name: 'names', provides: ['server.User'], neutral: true }, (context, next) => {
        context['server.User'] = { id: user }
        return next()
      })
    )
    .use(router())
    .use(coap({ port: 0 }))
    .get('/notes/:id', { instances: () => ['/notes/a', '/notes/b', '/notes/gone'] }, context => {
      const { id } = context.params
      if (owners[id] === undefined) return undefined
      if (owners[id] !== context.user?.id) throw new IopaError(403, 'forbidden', 'Ask its owner.')
      return id
    })
    .put('/switches/:id', { instances: () => ['/switches/1'] }, () => undefined)
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  const listed = async (as: string): Promise<string[]> => {
    user = as
    return parseLinks(await (await client.get('/.well-known/core')).text()).map(({ href }) => href)
  }
  expect(await listed('ann')).toEqual(['/notes/a', '/switches/1'])
  expect(await listed('bob')).toEqual(['/notes/b', '/switches/1'])
  await app.close()
})
