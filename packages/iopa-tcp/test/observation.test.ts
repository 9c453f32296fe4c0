import { App, type Context } from '@iopa/appbuilder'
import { CAPABILITIES } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { tcp } from '../src/index.ts'
import { atEnd, dial, eventually, get, put, type Served, serve } from './support.ts'

/** One light whose state is read and written. */
const light = async (options: Parameters<typeof serve>[1] = {}): Promise<Served & { state: { on: boolean; level: number } }> => {
  const state = { on: false, level: 0 }
  const served = await serve(async (context: Context) => {
    if (context.path !== '/light') return undefined
    if (context.method === 'GET') return { ...state }
    Object.assign(state, await context.json())
    return undefined
  }, options)
  return { ...served, state }
}

const bodies = (bags: Record<string, unknown>[]): unknown[] => bags.map(bag => bag['iopa.Body'])

describe('observing over TCP', () => {
  test('delivers the state, then each change, with the seq of the request', async () => {
    const { port } = await light()
    const [observer, other] = [await dial(port), await dial(port)]
    observer.send(get('/light', 9, { 'iopa.Observe': true }))
    await observer.answers(1)
    other.send(put('/light', { level: 40 }, 1))
    expect((await other.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 204 })
    const answers = await observer.answers(2)
    expect(bodies(answers)).toEqual([
      { on: false, level: 0 },
      { on: false, level: 40 }
    ])
    expect(answers.every(answer => answer['iopa.Seq'] === 9 && answer['iopa.StatusCode'] === 200)).toBe(true)
  })

  test('leaves the connection free for other requests', async () => {
    const { port } = await light()
    const peer = await dial(port)
    peer.send(get('/light', 1, { 'iopa.Observe': true }), put('/light', { level: 1 }, 2), put('/light', { level: 2 }, 3))
    await peer.until(() => peer.bags.some(bag => bag['iopa.Seq'] === 1 && (bag['iopa.Body'] as { level: number }).level === 2))
    expect(peer.bags.filter(bag => bag['iopa.Seq'] !== 1).map(bag => bag['iopa.StatusCode'])).toEqual([204, 204])
  })

  test('ends with false and the same seq, and confirms it', async () => {
    const { port, app } = await light()
    const peer = await dial(port)
    peer.send(get('/light', 1, { 'iopa.Observe': true }))
    await peer.answers(1)
    expect(app.live).toBe(2)
    peer.send({ 'iopa.Observe': false, 'iopa.Seq': 1 })
    expect((await peer.answers(2))[1]).toEqual({ 'iopa.StatusCode': 204, 'iopa.Seq': 1 })
    expect(app.live).toBe(1)
    peer.send(put('/light', { level: 5 }, 2), get('/light', 3))
    expect((await peer.answers(4)).slice(2).map(bag => bag['iopa.Seq'])).toEqual(expect.arrayContaining([2, 3]))
  })

  test('ends with the connection', async () => {
    const { port, app } = await light()
    const peer = await dial(port)
    peer.send(get('/light', 1, { 'iopa.Observe': true }), get('/light', 2, { 'iopa.Observe': true }))
    await peer.answers(2)
    expect(app.live).toBe(3)
    peer.socket.resetAndDestroy()
    await eventually(() => app.live === 0)
  })

  test('continues for a peer that has ended its side', async () => {
    const { port } = await light()
    const [observer, other] = [await dial(port), await dial(port)]
    observer.send(get('/light', 1, { 'iopa.Observe': true }))
    observer.end()
    await observer.answers(1)
    other.send(put('/light', { level: 7 }, 1))
    expect(bodies(await observer.answers(2))[1]).toEqual({ on: false, level: 7 })
  })

  test('ends when the peer has gone, although it looks half-closed', async () => {
    const { port, app } = await light()
    const peer = await dial(port)
    peer.send(get('/light', 1, { 'iopa.Observe': true }))
    await peer.answers(1)
    peer.socket.destroy()
    await eventually(() => app.live === 0)
  })

  test('survives the idle time', async () => {
    const { port } = await light({ limits: { idleTimeout: 60 } })
    const observer = await dial(port)
    observer.send(get('/light', 1, { 'iopa.Observe': true }))
    await observer.answers(1)
    const idle = await dial(port)
    await idle.until(() => idle.ended)
    expect(observer.ended).toBe(false)
    observer.send({ 'iopa.Observe': false, 'iopa.Seq': 1 })
    await observer.until(() => observer.ended)
  })

  test('gets one answer for a missing path', async () => {
    const { port, app } = await light()
    const peer = await dial(port)
    peer.send(get('/nothing', 1, { 'iopa.Observe': true }))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 404, 'iopa.Seq': 1 })
    await eventually(() => app.live === 1)
  })

  test('ends with the status when the resource is deleted', async () => {
    let there = true
    const { port, app } = await serve(({ method }: Context) => {
      if (method === 'GET') return there ? 'here' : undefined
      there = false
      return undefined
    })
    const peer = await dial(port)
    peer.send(get('/a', 1, { 'iopa.Observe': true }))
    await peer.answers(1)
    peer.send({ ...get('/a', 2), 'iopa.Method': 'DELETE' })
    const answers = await peer.answers(3)
    expect(answers.filter(bag => bag['iopa.Seq'] === 1).map(bag => bag['iopa.StatusCode'])).toEqual([200, 404])
    await eventually(() => app.live === 1)
  })

  test('replaces the earlier observation with the same seq', async () => {
    const { port, app } = await light()
    const peer = await dial(port)
    peer.send(get('/light', 1, { 'iopa.Observe': true }))
    await peer.answers(1)
    peer.send(get('/light', 1, { 'iopa.Observe': true }))
    await peer.answers(2)
    expect(app.live).toBe(2)
    peer.send(put('/light', { level: 1 }, 2))
    await peer.answers(4)
    peer.send(get('/light', 3))
    expect((await peer.answers(5)).filter(bag => bag['iopa.Seq'] === 1)).toHaveLength(3)
    peer.send({ 'iopa.Observe': false, 'iopa.Seq': 1 })
    await peer.answers(6)
    expect(app.live).toBe(1)
  })

  test('counts a repeated seq once, also at the limit of one observation', async () => {
    const { port } = await light({ limits: { observersPerConnection: 1 } })
    const peer = await dial(port)
    for (let count = 1; count <= 2; count++) {
      peer.send(get('/light', 1, { 'iopa.Observe': true }))
      await peer.answers(count)
    }
    expect(peer.bags.map(bag => bag['iopa.StatusCode'])).toEqual([200, 200])
  })

  test('is refused over the limit of a connection, and other observations continue', async () => {
    const { port } = await light({ limits: { observersPerConnection: 2 } })
    const peer = await dial(port)
    peer.send(...[1, 2, 3].map(seq => get('/light', seq, { 'iopa.Observe': true })), get('/light', 4))
    const answers = await peer.answers(4)
    expect(answers.find(bag => bag['iopa.Seq'] === 3)).toMatchObject({ 'iopa.StatusCode': 429 })
    expect(answers.filter(bag => bag['iopa.StatusCode'] === 200)).toHaveLength(3)
  })

  test('skips intermediate states, never the newest, for a slow peer', async () => {
    const padding = 'x'.repeat(100_000)
    let level = 0
    const { port, app } = await serve(({ method }: Context) => {
      if (method === 'GET') return { level, padding }
      level++
      return undefined
    })
    const [observer, writer] = [await dial(port), await dial(port)]
    observer.send(get('/light', 1, { 'iopa.Observe': true }))
    await observer.answers(1)
    observer.socket.pause()
    for (let i = 1; i <= 1000; i++) {
      writer.send({ ...get('/light', i), 'iopa.Method': 'POST' })
      await writer.answers(i)
    }
    expect(app.live).toBeLessThan(10)
    observer.socket.resume()
    const seen = (): number[] => bodies(observer.bags).map(body => (body as { level: number }).level)
    await observer.until(() => seen().at(-1) === 1000)
    const levels = seen()
    expect(levels).toEqual([...levels].sort((a, b) => a - b))
    expect(levels.length).toBeLessThan(900)
  })
})

test('keeps a notification while answers wait for the peer', async () => {
  let level = 0
  const big = 'x'.repeat(3_000_000)
  const { port, app } = await serve(({ path }: Context) => (path === '/big' ? big : { level }), { limits: { queueBytes: 1000 } })
  const peer = await dial(port)
  peer.send(get('/level', 1, { 'iopa.Observe': true }))
  await peer.answers(1)
  peer.socket.pause()
  peer.send(...[2, 3, 4, 5].map(seq => get('/big', seq)))
  // The kernel takes one or two of them.
  await new Promise(resolve => setTimeout(resolve, 100))
  level = 7
  app.notify('/level')
  await new Promise(resolve => setTimeout(resolve, 50))
  peer.socket.resume()
  const answers = await peer.answers(6)
  expect(answers.filter(bag => bag['iopa.Seq'] === 1).map(bag => (bag['iopa.Body'] as { level: number }).level)).toEqual([0, 7])
})

test('ends when the listener closes', async () => {
  const { port, app } = await light()
  const peer = await dial(port)
  peer.send(get('/light', 1, { 'iopa.Observe': true }))
  await peer.answers(1)
  const closed = app.close()
  await peer.until(() => peer.ended)
  peer.end()
  await closed
  expect(app.live).toBe(0)
})

test('is announced in the capabilities of the transport', async () => {
  const app = new App({ logger: false }).use(tcp({ port: 0, framing: 'lines' }))
  atEnd(() => app.close())
  expect(app.capabilities[CAPABILITIES.Tcp]).toMatchObject({ framing: 'lines', observe: false, tls: false })
})
