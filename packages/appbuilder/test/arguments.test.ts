import { App, type Bag, IopaError } from '@iopa/appbuilder'
import { memory } from '@iopa/testing'
import { describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
const fn = (_: unknown, next: () => unknown) => next()
type Loose = Record<string, (...values: unknown[]) => unknown>
const loose = (app: App): Loose => app as never

const thrown = (run: () => unknown): Error => {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

describe('arguments that make no sense', () => {
  test.each<[string, (app: Loose) => unknown, RegExp]>([
    ['use of a factory', app => app['use']?.(memory), /use\(\) was given the function memory itself: call it, as in memory\(\)/],
    ['use of a factory with options', app => app['use']?.(memory, { name: 'x' }), /call it, as in memory\(\)/],
    ['use of a path', app => app['use']?.('/admin', fn), /not the text|further argument/],
    [
      'use of two functions',
      app => app['use']?.(fn, fn),
      /use\(\) does not take a function|use\(\) does not take the function 'fn' as a further argument/
    ],
    ['use of a transport and options', app => app['use']?.(memory(), { port: 1 }), /further argument/],
    ['use of an array', app => app['use']?.([fn]), /not an array/],
    ['use of a promise', app => app['use']?.(Promise.resolve(fn)), /a promise; await it first/],
    ['use of nothing', app => app['use']?.(), /not undefined/],
    ['use of a class that is none of middleware', app => app['use']?.(class Empty {}), /'Empty' has neither invoke nor dispatch/],
    ['use of the class App', app => app['use']?.(App), /as in new App\(\)/],
    ['mount of a pattern', app => app['mount']?.('/:id', fn), /cannot take the path "\/:id": it is compared as literal text/],
    ['mount of a wildcard', app => app['mount']?.('/a/*', fn), /literal text/],
    ['mount of braces', app => app['mount']?.('/a/{id}', fn), /literal text/],
    ['mount of an escaped path', app => app['mount']?.('/a%20b', fn), /literal text/],
    ['mount of a relative path', app => app['mount']?.('admin', fn), /must begin with '\/'/],
    ['mount without a path', app => app['mount']?.(fn), /it is no string/],
    ['mount of two handlers', app => app['mount']?.('/a', fn, fn), /mount\(\) does not take/],
    ['mount of an array', app => app['mount']?.('/a', [fn]), /not an array/],
    ['mount of nothing', app => app['mount']?.('/a'), /not undefined/],
    ['mount of a transport', app => app['mount']?.('/a', memory()), /write use\(\)/],
    [
      'mount of an extension',
      app => app['mount']?.('/a', { name: 'router', extend: () => ({}), invoke: fn }),
      /mount new App\(\)\.use\(router\(\)\)/
    ],
    ['fork with an async condition', app => app['fork']?.(async () => false, fn), /gave a promise, which is always true/],
    [
      'fork with an async build',
      app =>
        app['fork']?.(
          () => true,
          async () => undefined
        ),
      /add everything before it returns/
    ],
    ['fork without a build', app => app['fork']?.(() => true), /takes two functions/],
    ['fork of three', app => app['fork']?.(() => true, fn, fn), /does not take/],
    ['observe with an unknown option', app => app['observe']?.('/', { singal: 1 }), /observe\(\) has no option 'singal'; it has signal, headers/],
    ['observe with a signal instead of options', app => app['observe']?.('/', 5), /as an object, not number 5/],
    ['close with an unknown option', app => app['close']?.({ timout: 1 }), /close\(\) has no option 'timout'/],
    ['close with a number', app => app['close']?.(5), /as an object/]
  ])('throw at %s, with the line of the call', (_, call, sentence) => {
    const error = thrown(() => call(loose(new App(quiet))))
    expect(error.message).toMatch(sentence)
    expect(error.message).toMatch(/arguments\.test\.ts:\d+\)$/)
    expect(error).toBeInstanceOf(IopaError)
  })

  test.each<[string, (app: Loose) => unknown, RegExp]>([
    ['listen', app => app['listen']?.({ port: 80 }), /listen\(\) does not take an object/],
    ['connect', app => app['connect']?.('memory://app', { timout: 1 }), /connect\(\) has no option 'timout'/]
  ])('reject at %s', async (_, call, sentence) => {
    await expect(call(loose(new App(quiet).use(memory())))).rejects.toThrow(sentence)
  })

  test('options of an app, of its limits and of a transport are refused by name', () => {
    expect(() => new App({ loger: false } as never)).toThrow(
      /App has no option 'loger'; it has logger, limits, codecs, clock, requires. \(.*arguments\.test\.ts:\d+\)/
    )
    expect(() => new App({ limits: { bdy: 1 } as never })).toThrow(/no limit 'bdy'/)
    expect(() => memory({ nam: 'x' } as never)).toThrow(/memory\(\) has no option 'nam'; it has name, limits. \(.*arguments\.test\.ts:\d+\)/)
  })

  test('a condition that gives a promise fails the request, and the promise is heard', async () => {
    const app = new App(quiet).fork((() => Promise.reject(new Error('x'))) as never, branch => branch.use(() => 'branch')).use(() => 'main')
    const answer = await app.invoke({ 'iopa.Path': '/' })
    expect([answer.status, answer.error?.code]).toEqual([500, 'async-condition'])
  })
})

describe('a class', () => {
  test('may have invoke or dispatch as a field, and gets app and options', async () => {
    class Field {
      readonly invoke = async (): Promise<unknown> => this.name
      readonly name: string
      constructor(_: unknown, name: string) {
        this.name = name
      }
    }
    const app = new App(quiet).use(Field as never, 'x' as never)
    expect(await (await app.invoke({ 'iopa.Path': '/' })).text()).toBe('x')
    class Mounted {
      invoke = () => 'mounted'
    }
    const outer = new App(quiet).mount('/m', Mounted as never)
    expect(await (await outer.invoke({ 'iopa.Path': '/m' })).text()).toBe('mounted')
  })

  test('is not what a function with a prototype is', async () => {
    const app = new App(quiet).use(function old() {
      return 'old'
    })
    expect(await (await app.invoke({ 'iopa.Path': '/' })).text()).toBe('old')
  })
})

describe('a request that is no bag', () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ['GET /', /this one is a text/],
    [[], /this one is an array/],
    [5, /of type number/],
    [null, /this one is null/],
    [undefined, /of type undefined/],
    [new Map([['iopa.Path', '/']]), /this object has none/],
    [new Request('http://x/y'), /this object has none/],
    [{ method: 'PUT' }, /'method' is no key of a bag: write 'iopa.Method'/],
    [{ path: '/x', 'iopa.Method': 'GET' }, /write 'iopa.Path'/],
    [{ url: '/x' }, /a key has a namespace/],
    [{ 'iopa.Methud': 'PUT' }, /There is no key 'iopa.Methud'/],
    [{ 'iopa.Method': 5 }, /'iopa.Method' of a bag is a text, such as GET, not of type number/],
    [{ 'iopa.Method': '' }, /not empty/],
    [{ 'iopa.Path': 5 }, /'iopa.Path' of a bag is a text/]
  ]

  test('is refused with a sentence by the app and by a client, and reaches no handler', async () => {
    let runs = 0
    const app = new App(quiet).use(memory()).use(() => `${++runs}`)
    await app.listen()
    const client = await app.connect('memory://app')
    for (const [request, sentence] of wrong) {
      await expect(app.invoke(request as Bag), String(request)).rejects.toThrow(sentence)
      await expect(client.send(request as Bag), String(request)).rejects.toThrow(sentence)
    }
    expect(runs).toBe(0)
    expect((await app.invoke({})).status).toBe(200)
    expect((await app.invoke(Object.assign(Object.create(null), { 'acme.Key': 1 }))).status).toBe(200)
    await app.close()
    expect(app.live).toBe(0)
  })
})

describe('requests of a client', () => {
  const connected = async () => {
    const app = new App(quiet).use(memory()).use(context => `got ${context.method}`)
    await app.listen()
    return { app, client: (await app.connect('memory://app')) as unknown as Loose }
  }

  test('refuse unknown options, further arguments and options that are none, with the line of the call', async () => {
    const { app, client } = await connected()
    for (const [run, message] of [
      [() => client['get']?.('/a', { header: {} }), /get\(\) has no option 'header'; it has headers, type, signal\. \(.*arguments\.test\.ts/],
      [() => client['get']?.('/a', 'text'), /get\(\) takes its options as an object, not the text "text"/],
      [() => client['get']?.('/a', {}, {}), /get\(\) does not take an object as a further argument/],
      [() => client['put']?.('/a', 'x', { timeout: 5 }), /put\(\) has no option 'timeout'/],
      [() => client['post']?.('/a', 'x', { method: 'PUT' }), /post\(\) has no option 'method'/],
      [() => client['patch']?.('/a', 'x', {}, 1), /patch\(\) does not take number 1/],
      [() => client['delete']?.('/a', { body: 'x' }), /delete\(\) has no option 'body'/]
    ] as const) {
      await expect(run(), String(message)).rejects.toThrow(message)
    }
    expect(() => client['observe']?.('/a', { singal: 1 })).toThrow(/observe\(\) has no option 'singal'/)
    await app.close()
  })

  test('tell the peer of the handler that makes them nothing of it', async () => {
    const { app, client } = await connected()
    const relay = new App(quiet).use(() => client['get']?.('/a', { header: {} }))
    const answer = await relay.invoke({ 'iopa.Path': '/' })
    expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining('header')])
    await app.close()
  })
})
