import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { App, type Context, defineMiddleware, reply } from '@iopa/appbuilder'
import type { LinkAnswer, SealedAnswer } from '@iopa/context'
import type { OwnedContext } from '@iopa/context/host'
import type { Host } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
/** Bytes in use after a collection. */
const usedHeap = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
/** Lets work go on that waits for promises, and for a few turns of the event loop: a path runs once in a turn. */
const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) {
    await null
    if (turn % 8 === 0) await new Promise(resolve => setImmediate(resolve))
  }
}

interface Watching {
  readonly context: Context
  readonly answers: SealedAnswer[]
  readonly payloads: unknown[]
  /** Lets deliveries finish one by one when the observer is slow. */
  release(): void
  readonly active: Promise<boolean>
}

const watch = (
  app: App,
  host: Host,
  path: string,
  options: { headers?: Record<string, string>; query?: string; slow?: boolean; passes?: (answer: SealedAnswer) => boolean } = {}
): Watching => {
  const context = app.create({
    'iopa.Path': path,
    'iopa.QueryString': options.query ?? '',
    'iopa.Headers': options.headers ?? {},
    'iopa.Observe': true
  })
  const answers: SealedAnswer[] = []
  let release = (): void => undefined
  const observation = host.observe(
    context,
    answer => {
      answers.push(answer)
      if (options.slow) return new Promise<void>(resolve => (release = resolve))
    },
    options.passes === undefined ? {} : { passes: options.passes }
  )
  return {
    context,
    answers,
    get payloads() {
      return answers.map(answer => answer.payload)
    },
    release: () => release(),
    active: observation.then(({ active }) => active)
  }
}

/** An app of one number at /n, which PUT sets. */
const counter = (before: (app: App) => unknown = () => undefined) => {
  const state = { n: 0, gets: 0, fail: 0, gate: null as Promise<void> | null }
  const app = new App(quiet)
  before(app)
  app.use(async (context, next) => {
    if (context.path !== '/n') return next()
    if (context.method === 'PUT') {
      state.n = (await context.json<number>()) as number
      return state.fail > 0 ? reply(state.fail) : state.n
    }
    state.gets++
    const now = state.n
    if (state.gate !== null) await state.gate
    if (state.fail > 0) return reply(state.fail)
    return now
  })
  const put = (n: number): Promise<unknown> => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/n', 'iopa.Body': n })
  return { app, state, host: app.host(), put }
}

describe('observation 1: observing is a GET, and nothing is lost or out of order', () => {
  test('delivers the answer to the GET first, then each change', async () => {
    const { app, host, put } = counter()
    const watching = watch(app, host, '/n')
    expect(await watching.active).toBe(true)
    await put(1)
    await turns()
    await put(2)
    await turns()
    expect(watching.payloads).toEqual(['0', '1', '2'])
    expect(watching.answers[0]).toBe(watching.context.response)
  })

  test('delivers a change that came between the GET and its answer, after it', async () => {
    const { app, host, put, state } = counter()
    let open = (): void => undefined
    state.gate = new Promise(resolve => (open = resolve))
    const watching = watch(app, host, '/n')
    await turns()
    await put(1)
    state.gate = null
    open()
    await watching.active
    await turns()
    expect(watching.payloads).toEqual(['0', '1'])
  })

  test('delivers a change that came while the first answer was being delivered', async () => {
    const { app, host, put } = counter()
    const watching = watch(app, host, '/n', { slow: true })
    await turns()
    expect(watching.payloads).toEqual(['0'])
    await put(5)
    await turns()
    expect(watching.payloads).toEqual(['0'])
    watching.release()
    await turns()
    expect(watching.payloads).toEqual(['0', '5'])
  })

  test('passes through authentication, and a refusal is delivered and ends it', async () => {
    const { app, host } = counter(made => made.use((context, next) => (context.headers.has('authorization') ? next() : reply(401))))
    const refused = watch(app, host, '/n')
    expect([await refused.active, refused.answers.map(({ status }) => status)]).toEqual([false, [401]])
    const allowed = watch(app, host, '/n', { headers: { authorization: 'x' } })
    expect(await allowed.active).toBe(true)
  })

  test('delivers an event stream of a handler as it is, where the transport passes it', async () => {
    const app = new App(quiet).use(context => {
      context.response.type = 'text/event-stream'
      return new Set(['data: 1\n\n'])
    })
    const options = { passes: (answer: SealedAnswer) => answer.type === 'text/event-stream' }
    const watching = watch(app, app.host(), '/x', { headers: { accept: 'text/event-stream' }, ...options })
    expect([await watching.active, watching.answers[0]?.isStream]).toEqual([false, true])
  })

  test('reads a streamed answer before it is delivered', async () => {
    const app = new App(quiet).use(() => new Set(['a', 'b']))
    const watching = watch(app, app.host(), '/x')
    await watching.active
    expect(new TextDecoder().decode(watching.payloads[0] as Uint8Array)).toBe('ab')
  })
})

describe('observation 2: changes notify', () => {
  test.each(['PUT', 'POST', 'PATCH', 'DELETE'])('%s notifies its own path when it is answered 2xx', async method => {
    let n = 0
    const app = new App(quiet).use(context => (context.method === 'GET' ? n : void n++))
    const watching = watch(app, app.host(), '/x')
    await watching.active
    await app.invoke({ 'iopa.Method': method, 'iopa.Path': '/x' })
    await turns()
    expect(watching.payloads).toEqual(['0', '1'])
  })

  test('a refused change, a GET and an unknown method notify nobody', async () => {
    const { app, host, put, state } = counter()
    const watching = watch(app, host, '/n')
    await watching.active
    state.fail = 409
    await put(1)
    state.fail = 0
    await app.invoke({ 'iopa.Path': '/n' })
    await turns()
    expect(watching.answers).toHaveLength(1)
  })

  test('a handler names further paths, and so may anybody', async () => {
    let n = 0
    const app = new App(quiet).use(context => {
      if (context.method === 'PUT') context.notify('/list')
      return n++
    })
    const watching = watch(app, app.host(), '/list')
    await watching.active
    await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/item' })
    await turns()
    app.notify('/list')
    await turns()
    expect(watching.answers).toHaveLength(3)
    expect(() => app.notify('no-slash')).toThrow(/must begin/)
  })
})

describe('observation 3: a notification re-runs GET', () => {
  test('as a new context from the top, with the registration’s query, headers and peer, within its scope', async () => {
    const seen: Context[] = []
    const app = new App(quiet).use(context => (seen.push(context), seen.length))
    const watching = watch(app, app.host(), '/x', { query: 'a=1', headers: { 'x-lang': 'de', 'if-none-match': '"1"', 'last-event-id': '1' } })
    await watching.active
    app.notify('/x')
    await turns()
    const run = seen[1] as Context
    expect(run).not.toBe(watching.context)
    expect([
      run.method,
      run.path,
      run['iopa.QueryString'],
      run.headers.get('x-lang'),
      run['server.IsNotification'],
      run['server.ParentContext']
    ]).toEqual(['GET', '/x', 'a=1', 'de', true, watching.context])
    // What asks about a state that the observer had would turn the notification into a 304.
    expect([run.headers.has('if-none-match'), run.headers.has('last-event-id')]).toEqual([false, false])
    expect(run.ended).toBe(true)
  })

  test('as the FETCH that it was, with its body, and shared with those alone that ask the same', async () => {
    const seen: string[] = []
    const app = new App(quiet).use(async context => {
      seen.push(`${context.method} ${context.type} ${await context.text()}`)
      return seen.length
    })
    const host = app.host()
    const contexts = ['a', 'b'].map(body =>
      app.create({ 'iopa.Method': 'FETCH', 'iopa.Path': '/x', 'iopa.Body': body, 'iopa.ContentType': 'text/x' })
    )
    for (const context of contexts) await host.observe(context, () => undefined)
    app.notify('/x')
    await turns(60)
    expect(seen.slice(2).sort()).toEqual(['FETCH text/x a', 'FETCH text/x b'])
  })

  test('once for the FETCHes whose body, type and coding are equal', async () => {
    const seen: string[] = []
    const app = new App(quiet).use(async context => {
      // A body in a coding is not read (docs/spec/rest.md).
      const read = (): Promise<unknown> =>
        context.text().then(
          text => text.length,
          ({ status }) => status
        )
      if (context['server.IsNotification']) seen.push(`${context.method} ${context.type} ${await read()}`)
      return 'x'
    })
    const host = app.host()
    const long = 'l'.repeat(2000)
    const questions = [
      ['a', 'text/x'],
      ['a', 'text/x'],
      ['a', 'text/y'],
      ['', 'text/x'],
      [long, 'text/x'],
      [long, 'text/x']
    ] as const
    for (const [body, type] of questions) {
      const context = app.create({ 'iopa.Method': 'FETCH', 'iopa.Path': '/x', 'iopa.Body': body, 'iopa.ContentType': type })
      await host.observe(context, () => undefined)
    }
    await host.observe(
      app.create({
        'iopa.Method': 'FETCH',
        'iopa.Path': '/x',
        'iopa.Body': 'a',
        'iopa.ContentType': 'text/x',
        'iopa.Headers': { 'content-encoding': 'gzip' }
      }),
      () => undefined
    )
    await host.observe(app.create({ 'iopa.Method': 'GET', 'iopa.Path': '/x' }), () => undefined)
    app.notify('/x')
    await turns(120)
    // Equal ones share a run, except where the body is long.
    expect(seen.sort()).toEqual([
      'FETCH text/x 0',
      'FETCH text/x 1',
      'FETCH text/x 2000',
      'FETCH text/x 2000',
      'FETCH text/x 415',
      'FETCH text/y 1',
      'GET  0'
    ])
  })

  test('one at a time: a change meanwhile runs it once more, however many there were', async () => {
    const { app, host, put, state } = counter()
    const watching = watch(app, host, '/n')
    await watching.active
    state.gets = 0
    let open = (): void => undefined
    state.gate = new Promise(resolve => (open = resolve))
    await put(1)
    await turns()
    for (const n of [2, 3, 4]) await put(n)
    await turns()
    expect(state.gets).toBe(1)
    state.gate = null
    open()
    await turns(40)
    expect([state.gets, watching.payloads.at(-1)]).toEqual([2, '4'])
  })

  test('notify from inside a run does not touch the path being run', async () => {
    let runs = 0
    const app = new App(quiet)
    app.use(async context => {
      runs++
      if (runs > 50) throw new Error('endless')
      app.notify('/x')
      context.notify('/x')
      context.child('').notify('/x')
      await null
      context.notify('/x')
      return runs
    })
    const watching = watch(app, app.host(), '/x')
    await watching.active
    await turns(60)
    const before = runs
    app.notify('/x')
    await turns(60)
    expect(runs).toBe(before + 1)
  })

  test('ends with its observer, and the others still get a whole answer', async () => {
    const { app, host, put, state } = counter()
    const first = watch(app, host, '/n')
    const second = watch(app, host, '/n')
    await Promise.all([first.active, second.active])
    let open = (): void => undefined
    state.gate = new Promise(resolve => (open = resolve))
    await put(1)
    await turns()
    void (first.context as OwnedContext).end('disconnect')
    state.gate = null
    open()
    await turns(60)
    expect([first.payloads, second.payloads]).toEqual([['0'], ['0', '1']])
  })
})

describe('observation 4: one run is shared', () => {
  const shared = async (
    one: Parameters<typeof watch>[3],
    two: Parameters<typeof watch>[3],
    before?: (app: App) => unknown,
    answerHeaders: Record<string, string> = {},
    read: (context: Context) => unknown = context => [context.query, context.headers.get('accept'), context.user]
  ): Promise<number> => {
    let gets = 0
    const app = new App(quiet)
    before?.(app)
    app.use(context => {
      read(context)
      return reply(200, ++gets, answerHeaders)
    })
    const host = app.host()
    const watching = [watch(app, host, '/x', one), watch(app, host, '/x', two)]
    await Promise.all(watching.map(({ active }) => active))
    gets = 0
    app.notify('/x')
    await turns(60)
    expect(watching.map(({ answers }) => answers.length)).toEqual([2, 2])
    return gets
  }

  test('among observers of the same path, query, Accept and user', async () => {
    expect(await shared({}, {})).toBe(1)
    expect(await shared({ headers: { accept: 'a/b' } }, { headers: { accept: 'a/b' } })).toBe(1)
  })

  test('not among those with another query, Accept or user', async () => {
    expect(await shared({ query: 'a=1' }, {})).toBe(2)
    expect(await shared({ headers: { accept: 'a/b' } }, {})).toBe(2)
    const users: Record<string, { id: string }> = { a: { id: 'a' }, b: { id: 'b' } }
    const authenticate = (app: App): unknown =>
      app.use(
        defineMiddleware({ provides: ['server.User'], neutral: true }, (context, next) => {
          context.user = users[context.headers.get('authorization') ?? '']
          return next()
        })
      )
    expect(await shared({ headers: { authorization: 'a' } }, { headers: { authorization: 'b' } }, authenticate)).toBe(2)
    expect(await shared({ headers: { authorization: 'a' } }, { headers: { authorization: 'a' } }, authenticate)).toBe(1)
  })

  test('never with credentials that nobody has checked', async () => {
    expect(await shared({ headers: { authorization: 'a' } }, { headers: { authorization: 'a' } })).toBe(2)
    expect(await shared({ headers: { cookie: 'a' } }, { headers: { cookie: 'a' } })).toBe(2)
  })

  test('never when the answer is private or varies beyond Accept and Origin', async () => {
    expect(await shared({}, {}, undefined, { 'cache-control': 'max-age=1, private' })).toBe(2)
    expect(await shared({}, {}, undefined, { vary: 'Accept, Cookie' })).toBe(2)
    expect(await shared({}, {}, undefined, { vary: 'Accept, Origin', 'cache-control': 'no-cache' })).toBe(1)
  })

  test('is taken apart before anybody sees an answer that has become private', async () => {
    let owner = 0
    let isPrivate = false
    const app = new App(quiet).use(context =>
      reply(200, context['server.ParentContext']?.id ?? ++owner, isPrivate ? { 'cache-control': 'private' } : {})
    )
    const host = app.host()
    const [one, two] = [watch(app, host, '/x'), watch(app, host, '/x')]
    await Promise.all([one.active, two.active])
    isPrivate = true
    app.notify('/x')
    await turns(60)
    expect([one.payloads[1], two.payloads[1]]).toEqual([String(one.context.id), String(two.context.id)])
  })
})

describe('observation 5: an answer that is not 2xx ends it', () => {
  test('with that answer as the last', async () => {
    const { app, host, put, state } = counter()
    const watching = watch(app, host, '/n')
    await watching.active
    state.fail = 404
    app.notify('/n')
    await turns()
    state.fail = 0
    await put(1)
    await turns()
    expect(watching.answers.map(({ status }) => status)).toEqual([200, 404])
  })
})

describe('observation 6: every observer gets the newest state', () => {
  test('changes within one turn share one run of GET', async () => {
    const { app, host, state } = counter()
    await watch(app, host, '/n').active
    const before = state.gets
    for (let count = 0; count < 5; count++) app.notify('/n')
    await turns()
    expect(state.gets - before).toBe(1)
  })

  test('one that left while it was being told is not told what came meanwhile', async () => {
    const { app, host, put } = counter()
    const slow = watch(app, host, '/n', { slow: true })
    await turns()
    slow.release()
    await slow.active
    for (const n of [1, 2]) {
      await put(n)
      await turns()
    }
    await (slow.context as OwnedContext).end('unsubscribe')
    slow.release()
    await turns()
    expect(slow.payloads).toEqual(['0', '1'])
  })

  test('a slow one skips what lies between, and never blocks the others', async () => {
    const { app, host, put } = counter()
    const slow = watch(app, host, '/n', { slow: true })
    const fast = watch(app, host, '/n')
    await fast.active
    slow.release()
    await slow.active
    for (const n of [1, 2, 3]) {
      await put(n)
      await turns()
    }
    expect(fast.payloads).toEqual(['0', '1', '2', '3'])
    expect(slow.payloads).toEqual(['0', '1'])
    slow.release()
    await turns()
    expect(slow.payloads).toEqual(['0', '1', '3'])
  })
})

describe('observation 7: its cost and its end', () => {
  test('leaves nothing behind when observers go', async () => {
    const { app, host, put } = counter()
    const before = app.live
    const watching = Array.from({ length: 50 }, () => watch(app, host, '/n'))
    await Promise.all(watching.map(({ active }) => active))
    expect(app.live).toBe(before + 50)
    for (const { context } of watching) void (context as OwnedContext).end('disconnect')
    await put(1)
    await turns()
    expect([app.live, watching.every(({ answers }) => answers.length === 1)]).toEqual([before, true])
  })

  test('ends an observer whose delivery fails', async () => {
    const { app, host, put } = counter()
    const context = app.create({ 'iopa.Path': '/n' })
    let calls = 0
    await host.observe(context, () => {
      if (calls++ > 0) throw new Error('gone')
    })
    await put(1)
    await turns()
    expect([calls, context.ended, context.endReason]).toEqual([2, true, 'disconnect'])
  })

  test('refuses more observers than the limit with 503', async () => {
    const app = new App({ ...quiet, limits: { observers: 1 } }).use(() => 'x')
    const host = app.host()
    const one = watch(app, host, '/x')
    const two = watch(app, host, '/x')
    expect([await one.active, await two.active, two.answers[0]?.status]).toEqual([true, false, 503])
  })

  test('has room again for those who come after one that left', async () => {
    const app = new App({ ...quiet, limits: { observers: 1 } }).use(() => 'x')
    const host = app.host()
    for (let count = 0; count < 3; count++) {
      const watching = watch(app, host, '/x')
      expect(await watching.active).toBe(true)
      await (watching.context as OwnedContext).end('unsubscribe')
    }
  })

  test('keeps nothing of a path that nobody observes any more', async () => {
    const app = new App(quiet).use(() => 'x')
    const host = app.host()
    const segment = 'x'.repeat(1000)
    const rest = `/${segment}`.repeat(60)
    const before = usedHeap()
    for (let count = 0; count < 500; count++) {
      const watching = watch(app, host, `/${count}${rest}`)
      await watching.active
      await (watching.context as OwnedContext).end('unsubscribe')
    }
    // The paths alone come to 30 MB.
    expect(usedHeap() - before).toBeLessThan(8 * 1024 * 1024)
  })

  test('tells filters of every change, with who caused it, until they stop', async () => {
    const app = new App(quiet).use(() => 'x')
    const seen: [string, string | undefined][] = []
    const subscription = app.host().changes(({ path, origin }) => void seen.push([path, origin?.method]))
    await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a' })
    app.notify('/b')
    subscription[Symbol.dispose]()
    app.notify('/c')
    expect(seen).toEqual([
      ['/a', 'PUT'],
      ['/b', undefined]
    ])
  })

  test('hands observers a representation from elsewhere without running GET', async () => {
    const { app, host, state } = counter()
    const watching = watch(app, host, '/n')
    await watching.active
    const answer = (await app.invoke({ 'iopa.Path': '/n' })) as LinkAnswer
    state.gets = 0
    host.deliver('/n', answer)
    expect([watching.answers.at(-1) === answer, state.gets]).toEqual([true, 0])
  })
})

describe('observers', () => {
  test('that join while a run is under way are not told its answer, which may be older than theirs', async () => {
    const { app, host, state } = counter()
    const first = watch(app, host, '/n')
    await first.active
    let open = (): void => undefined
    state.gate = new Promise(resolve => (open = resolve))
    state.n = 1
    app.notify('/n')
    await turns()
    state.gate = null
    state.n = 2
    app.notify('/n')
    const second = watch(app, host, '/n')
    await second.active
    expect(second.payloads).toEqual(['2'])
    open()
    await turns(50)
    expect([first.payloads, second.payloads]).toEqual([
      ['0', '1', '2'],
      ['2', '2']
    ])
  })

  test('each with answers of its own are all told of a change, however many requests may be in work', async () => {
    let n = 0
    const app = new App({ ...quiet, limits: { inFlight: 5 } }).use(async () => {
      const now = n
      await null
      return reply(200, now, { 'cache-control': 'private' })
    })
    const host = app.host()
    const watching = []
    for (let count = 0; count < 50; count++) {
      const one = watch(app, host, '/n')
      await one.active
      watching.push(one)
    }
    n = 1
    app.notify('/n')
    await turns(1000)
    expect(watching.filter(({ answers }) => answers.at(-1)?.status === 200 && answers.at(-1)?.payload === '1')).toHaveLength(50)
  })

  test('over the limit whose connection is gone leave nothing behind', async () => {
    const app = new App({ ...quiet, limits: { observers: 1 } }).use(() => 'x')
    const host = app.host()
    const first = watch(app, host, '/n')
    await first.active
    const context = app.create({ 'iopa.Path': '/n', 'iopa.Observe': true })
    const { active } = await host.observe(context, () => Promise.reject(new Error('gone')))
    expect([active, context.ended, context.endReason]).toEqual([false, true, 'disconnect'])
  })
})

describe('represent', () => {
  test('gives callers of one turn the same answer, begun after they asked', async () => {
    const { app, host, state } = counter()
    const as = app.create({ 'iopa.Path': '/session' })
    const first = host.represent('/n', as)
    state.n = 7
    const [second, third] = await Promise.all([host.represent('/n', as), host.represent('/n', as)])
    expect([(await first).payload, second === third, second.payload, state.gets]).toEqual(['0', true, '7', 2])
  })

  test('runs as the caller, with its user, and never shares what is private', async () => {
    const app = new App(quiet).use(context => reply(200, context.user?.id ?? 'nobody', { 'cache-control': 'private' }))
    const host = app.host()
    const as = app.create({ 'iopa.Path': '/', 'server.User': { id: 'ann' } })
    expect((await host.represent('/x', as)).payload).toBe('ann')
    const nobody = [app.create({ 'iopa.Path': '/' }), app.create({ 'iopa.Path': '/' }), app.create({ 'iopa.Path': '/' })] as const
    const answers = await Promise.all(nobody.map(context => host.represent('/x', context)))
    expect(new Set(answers).size).toBe(3)
  })
})

describe('app.observe', () => {
  test('leaves nothing behind when nobody begins to read', async () => {
    const { app } = counter()
    await app.observe('/n')[Symbol.asyncIterator]().return?.()
    expect(app.live).toBe(0)
  })

  test('throws where the answer is not 2xx, whoever wrote its body', async () => {
    const app = new App(quiet).use(() => reply(403, 'Not you.'))
    const read = async (): Promise<void> => {
      for await (const _ of app.observe('/x')) return
    }
    await expect(read()).rejects.toMatchObject({ status: 403 })
    expect(app.live).toBe(0)
  })

  test('is a sequence inside the process that ends with its signal', async () => {
    const { app, put } = counter()
    const stop = new AbortController()
    const seen: unknown[] = []
    for await (const answer of app.observe('/n', { signal: stop.signal })) {
      seen.push((answer as LinkAnswer).payload)
      if (seen.length < 3) void put(seen.length)
      else stop.abort()
    }
    expect([seen, app.live]).toEqual([['0', '1', '2'], 0])
  })

  test('throws the problem of a path that cannot be observed', async () => {
    const { app } = counter()
    const read = async (): Promise<void> => {
      for await (const _ of app.observe('/none')) return
    }
    await expect(read()).rejects.toMatchObject({ status: 404 })
    expect(app.live).toBe(0)
  })

  test('leaves nothing behind when the loop is left', async () => {
    const { app } = counter()
    for await (const _ of app.observe('/n')) break
    expect(app.live).toBe(0)
  })
})
