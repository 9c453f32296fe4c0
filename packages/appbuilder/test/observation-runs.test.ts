import { App, type Context, reply } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test, vi } from 'vitest'
import { recorder, turns, watch } from './observation-support.ts'

/** An app that counts the runs of each path, and what GET of them does. */
const looping = (get: Readonly<Record<string, (context: Context, app: App) => unknown>>) => {
  const runs: Record<string, number> = {}
  const { lines, logger } = recorder()
  const app = new App({ logger })
  app.use(async context => {
    const { path } = context
    if (path === '/other') return 'here'
    if (context.method !== 'GET') return reply(204)
    runs[path] = (runs[path] ?? 0) + 1
    if (runs[path] > 2000) throw new Error('endless')
    await get[path]?.(context, app)
    return runs[path]
  })
  return { app, runs, lines, host: app.host() }
}

const CYCLES: Readonly<Record<string, Readonly<Record<string, (context: Context, app: App) => unknown>>>> = {
  'two paths, by their contexts': { '/a': context => context.notify('/b'), '/b': context => context.notify('/a') },
  'two paths, by the app': { '/a': (_, app) => app.notify('/b'), '/b': (_, app) => app.notify('/a') },
  'two paths, by the app and late': {
    '/a': async (_, app) => {
      await null
      app.notify('/b')
    },
    '/b': async (_, app) => {
      await null
      app.notify('/a')
    }
  },
  'one path, by the app and late': {
    '/a': async (_, app) => {
      await null
      app.notify('/a')
    }
  },
  'one path, by the app and a turn later': {
    '/a': async (_, app) => {
      await new Promise(resolve => setImmediate(resolve))
      app.notify('/a')
    }
  },
  'one path, by a request of its own': { '/a': (_, app) => void app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a' }) },
  'one path, by a child': { '/a': context => context.child('x').notify('/a') },
  'five paths': Object.fromEntries([0, 1, 2, 3, 4].map(n => [`/${'abcde'[n]}`, (context: Context) => context.notify(`/${'bcdea'[n]}`)])),
  'five paths, late': Object.fromEntries(
    [0, 1, 2, 3, 4].map(n => [
      `/${'abcde'[n]}`,
      async (_: Context, app: App) => {
        await null
        app.notify(`/${'bcdea'[n]}`)
      }
    ])
  )
}

describe('a cycle of notifications', () => {
  test.each(Object.keys(CYCLES))('is cut, and the event loop stays free: %s', async name => {
    const get = CYCLES[name] as (typeof CYCLES)[string]
    const { app, runs, lines, host } = looping(get)
    const watching = Object.keys(get).map(path => watch(app, host, { 'iopa.Path': path }))
    await Promise.all(watching.map(({ active }) => active))
    app.notify('/a')
    await turns(3)
    const answer = await app.invoke({ 'iopa.Path': '/other' })
    expect(answer.payload).toBe('here')
    await new Promise(resolve => setTimeout(resolve, 100))
    const before = { ...runs }
    await new Promise(resolve => setTimeout(resolve, 200))
    // A notify without a known origin may come from outside the run. So the path keeps running, a few times a second.
    for (const path of Object.keys(get)) expect((runs[path] ?? 0) - (before[path] ?? 0), path).toBeLessThanOrEqual(2)
    expect(Math.max(...Object.values(runs))).toBeLessThan(60)
    expect(lines.filter(line => line.includes('circle')).length).toBeLessThanOrEqual(Object.keys(get).length)
    if (!name.includes('child')) expect(lines.some(line => line.includes('circle'))).toBe(true)
    await app.close({ timeout: 0 })
  })

  test('between two paths is logged once, and the observers of both paths get the change', async () => {
    const { app, runs, lines, host } = looping(CYCLES['two paths, by their contexts'] as (typeof CYCLES)[string])
    const watching = ['/a', '/b'].map(path => watch(app, host, { 'iopa.Path': path }))
    await Promise.all(watching.map(({ active }) => active))
    for (let count = 0; count < 3; count++) {
      const before = { ...runs }
      app.notify('/a')
      await turns(6)
      expect([(runs['/a'] ?? 0) - (before['/a'] ?? 0), (runs['/b'] ?? 0) - (before['/b'] ?? 0)]).toEqual([1, 1])
    }
    expect(lines.filter(line => line.includes('/a -> /b -> /a'))).toHaveLength(1)
  })

  test('does not hold back what changes from outside', async () => {
    const { app, host, runs } = looping(CYCLES['one path, by the app and late'] as (typeof CYCLES)[string])
    const watching = watch(app, host, { 'iopa.Path': '/a' })
    await watching.active
    app.notify('/a')
    await new Promise(resolve => setTimeout(resolve, 50))
    const before = runs['/a'] as number
    // It is held back now, and no run is under way.
    app.notify('/a')
    await turns(2)
    expect(runs['/a']).toBeGreaterThan(before)
    await app.close({ timeout: 0 })
  })

  test('does not keep a path from being told that is changed often while it is read', async () => {
    let n = 0
    const app = new App({ logger: false }).use(async () => {
      const now = n
      await new Promise(resolve => setTimeout(resolve, 3))
      return now
    })
    const watching = watch(app, app.host(), { 'iopa.Path': '/sensor' })
    await watching.active
    for (let count = 0; count < 60; count++) {
      n++
      app.notify('/sensor')
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    await vi.waitFor(() => expect(watching.payloads.at(-1)).toBe('60'), { timeout: 3000, interval: 10 })
  })
})

describe('a path', () => {
  test('runs once in a turn of the event loop, however often it is notified', async () => {
    let runs = 0
    const app = new App({ logger: false }).use(() => ++runs)
    await watch(app, app.host(), { 'iopa.Path': '/x' }).active
    runs = 0
    for (let count = 0; count < 100; count++) {
      app.notify('/x')
      await null
    }
    expect(runs).toBe(1)
    await turns(3)
    expect(runs).toBe(2)
  })

  test('is run by represent at once, and then once in a turn', async () => {
    let runs = 0
    const app = new App({ logger: false }).use(() => ++runs)
    const host = app.host()
    const as = app.create({ 'iopa.Path': '/' })
    const answers = [host.represent('/x', as), host.represent('/x', as), host.represent('/x', as)]
    expect(runs).toBe(1)
    for (let count = 0; count < 20; count++) await null
    expect(runs).toBe(1)
    expect((await Promise.all(answers)).map(({ payload }) => payload)).toEqual(['1', '2', '2'])
  })
})

/** A body that never goes on. */
const stalled = async function* (): AsyncGenerator<string> {
  yield 'begun'
  await new Promise(() => undefined)
}

describe('a run that does not end', () => {
  const setUp = (first: () => unknown, later: () => unknown) => {
    const clock = virtualClock()
    const { lines, logger } = recorder()
    const state = { stall: false }
    const app = new App({ logger, clock, limits: { requestTimeout: 1000 } }).use(() => (state.stall ? first() : later()))
    return { clock, lines, state, app, host: app.host() }
  }

  test.each([
    ['body', (): unknown => stalled()],
    ['handler', (): unknown => new Promise(() => undefined)]
  ])('because its %s stalls fails for this change and is logged once; the next change is delivered', async (_, never) => {
    const { clock, lines, state, app, host } = setUp(never, () => 'fine')
    const watching = [watch(app, host, { 'iopa.Path': '/x' }), watch(app, host, { 'iopa.Path': '/x' })]
    const other = watch(app, host, { 'iopa.Path': '/y' })
    await Promise.all([...watching, other].map(({ active }) => active))
    const live = app.live
    state.stall = true
    app.notify('/x')
    await turns(4)
    state.stall = false
    app.notify('/y')
    await turns(4)
    expect(other.payloads).toEqual(['fine', 'fine'])
    app.notify('/x')
    await clock.advance(1000)
    await turns(6)
    expect(watching.map(({ payloads }) => payloads)).toEqual([
      ['fine', 'fine'],
      ['fine', 'fine']
    ])
    await clock.advance(1000)
    await turns(4)
    expect([lines.length, lines[0]?.includes('/x'), app.live]).toEqual([1, true, live])
  })

  test('at the first GET of one observer does not delay other observers, and is 504', async () => {
    const { clock, state, app, host } = setUp(stalled, () => 'fine')
    state.stall = true
    const slow = watch(app, host, { 'iopa.Path': '/x' })
    await turns(4)
    state.stall = false
    const fast = watch(app, host, { 'iopa.Path': '/x' })
    expect(await fast.active).toBe(true)
    app.notify('/x')
    await turns(4)
    expect([fast.payloads, slow.payloads]).toEqual([['fine', 'fine'], []])
    await clock.advance(1000)
    expect([await slow.active, slow.answers[0]?.status]).toEqual([false, 504])
  })

  test('and is one observer’s own keeps the others not waiting', async () => {
    const app = new App({ logger: false }).use(context => {
      const slow = context.headers.get('x-slow') === 'yes'
      return slow && context['server.IsNotification'] ? stalled() : 'fine'
    })
    const host = app.host()
    const slow = watch(app, host, { 'iopa.Path': '/x', 'iopa.Headers': { 'x-slow': 'yes' } })
    const fast = [1, 2, 3].map(() => watch(app, host, { 'iopa.Path': '/x' }))
    await Promise.all([slow, ...fast].map(({ active }) => active))
    for (let count = 0; count < 2; count++) {
      app.notify('/x')
      await turns(6)
    }
    expect(fast.map(({ answers }) => answers.length)).toEqual([3, 3, 3])
    expect(slow.answers).toHaveLength(1)
    await app.close({ timeout: 0 })
  })
})
