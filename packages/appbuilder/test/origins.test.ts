import { App, type Context, reply } from '@iopa/appbuilder'
import type { AppHandle } from '@iopa/appbuilder/extension'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { turns } from './observation-support.ts'

/** An app that notes the origin of each run of a notification. */
const watched = () => {
  const origins: (string | null)[] = []
  let handle: AppHandle | undefined
  const app = new App({ logger: false }).use(router()).use({
    name: 'origins',
    extend: own => {
      handle = own
      return {}
    }
  })
  const noted = (context: Context) => {
    if (!context['server.IsNotification']) return 'first'
    const origin = handle?.originOf(context) ?? null
    origins.push(origin === null ? null : `${origin.method} ${origin.pathBase}${origin.path} ${origin['server.IsNotification']}`)
    return 'again'
  }
  return { app, origins, noted, originOf: (context: Context) => handle?.originOf(context) }
}

test('originOf gives the context whose change led to a run, and the newest of several that share it', async () => {
  const { app, origins, noted } = watched()
  app.get('/a', noted)
  app.put('/a', () => reply(204))
  app.post('/b', context => context.notify('/a'))
  const reader = app.observe('/a')[Symbol.asyncIterator]()
  await reader.next()
  await turns()
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a' })
  await reader.next()
  await app.invoke({ 'iopa.Method': 'POST', 'iopa.Path': '/b' })
  await reader.next()
  app.notify('/a')
  await reader.next()
  await Promise.all([app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a' }), app.invoke({ 'iopa.Method': 'POST', 'iopa.Path': '/b' })])
  await turns()
  await app.close()
  expect(origins.slice(0, 3)).toEqual(['PUT /a false', 'POST /b false', null])
  expect(origins.at(-1)).toBe('POST /b false')
})

test('originOf gives the run of a notification that led to another one, also through a mounted app', async () => {
  const { app, origins, noted } = watched()
  const inner = new App({ logger: false }).use(router())
  inner.put('/light', () => reply(204))
  inner.get('/light', context => {
    context.notify('/room')
    return 'on'
  })
  inner.get('/room', noted)
  app.mount('/home', inner)
  const [room, light] = ['/home/room', '/home/light'].map(path => app.observe(path)[Symbol.asyncIterator]())
  await room?.next()
  await light?.next()
  await turns()
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/home/light' })
  await turns()
  await app.close()
  expect(origins).toContain('GET /home/light true')
})

test('originOf gives null for what is no notification, and once a run is over', async () => {
  const { app, originOf } = watched()
  const kept: Context[] = []
  app.get('/a', context => {
    kept.push(context)
    return 'a'
  })
  app.put('/a', () => reply(204))
  const reader = app.observe('/a')[Symbol.asyncIterator]()
  await reader.next()
  await turns()
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a' })
  await reader.next()
  expect(kept.map(context => originOf(context))).toEqual([null, null])
  await app.close()
})
