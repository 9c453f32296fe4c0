import { App } from '@iopa/appbuilder'
import type { Activity, AppHandle } from '@iopa/appbuilder/extension'
import { virtualClock } from '@iopa/testing'
import { type ByteChannel, Connections, countersOf, DEFAULT_LIMITS } from '@iopa/transport'
import { expect, test } from 'vitest'

const peer = (remotePort: number): ByteChannel => ({ remoteAddress: '192.0.2.1', remotePort, destroy: () => undefined }) as unknown as ByteChannel

test('an extension hears of connections that open, close and are refused', async () => {
  const heard: Activity[] = []
  const clock = virtualClock()
  const app = new App({ clock, logger: false }).use({
    name: 'listening',
    extend: (handle: AppHandle) => {
      handle.activity(() => {
        throw new Error('a listener that fails')
      })
      handle.activity(activity => heard.push(activity))
      return {}
    }
  })
  const host = app.host('made-up')
  const connections = new Connections(clock, { ...DEFAULT_LIMITS, connections: 1 }, () => undefined, countersOf(host, 'made-up'))
  const first = connections.admit(peer(1))
  expect(connections.admit(peer(2))).toBeNull()
  await clock.advance(1500)
  first?.remove()
  const from = { transport: 'made-up', address: '192.0.2.1' }
  expect(heard).toEqual([
    { kind: 'connection-opened', ...from, port: 1 },
    { kind: 'refused', ...from, port: 2, status: 503, code: 'too-many-connections' },
    { kind: 'connection-closed', ...from, port: 1, duration: 1500 }
  ])
  expect(app.counters()['made-up']).toMatchObject({ connections: 0, refused: 1 })
  await app.close()
})

test('an extension hears of changes of paths, and that the app is closing', async () => {
  const paths: string[] = []
  let handle: AppHandle | undefined
  const app = new App({ logger: false }).use({
    name: 'listening',
    extend: (own: AppHandle) => {
      handle = own
      own.changes(({ path }) => paths.push(path))
      return {}
    }
  })
  app.notify('/lights/1')
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/nowhere' })
  expect(paths).toEqual(['/lights/1'])
  expect(handle?.closing).toBe(false)
  const closed = app.close()
  expect(handle?.closing).toBe(true)
  await closed
})
