import assert from 'node:assert/strict'
import type { MiddlewareFunction, Next } from '@iopa/appbuilder'
import type { Context, IopaError } from '@iopa/transport'
import { type ConformanceStatement, type ConformanceSubject, valueIn } from './statement.ts'

const root = { 'iopa.Method': 'GET', 'iopa.Path': '/' }

/** Statements 1 to 13: middleware and apps. */
export const pipelineStatements = ({ createApp }: ConformanceSubject): ConformanceStatement[] => [
  {
    number: 1,
    name: 'Middleware run in use order, outermost first, and unwind in reverse.',
    run: async () => {
      const order: string[] = []
      const layer =
        (name: string): MiddlewareFunction =>
        async (_, next) => {
          order.push(name)
          await next()
          order.push(name)
        }
      await createApp()
        .use(layer('a'))
        .use(layer('b'))
        .use(() => void order.push('handler'))
        .invoke(root)
      assert.deepEqual(order, ['a', 'b', 'handler', 'b', 'a'])
    }
  },
  {
    number: 2,
    name: 'use returns the app; an unknown pipeline name throws an Error.',
    run: async () => {
      const app = createApp()
      assert.equal(
        app.use(() => 'x'),
        app
      )
      assert.throws(() => app.use({ connect: () => undefined } as never), Error)
    }
  },
  {
    number: 3,
    name: 'A class is constructed once per app, with the app and its options; its constructor error surfaces unchanged.',
    run: async () => {
      const made: unknown[][] = []
      class Layer {
        constructor(...given: unknown[]) {
          made.push(given)
        }
        invoke(_: Context, next: Next): unknown {
          return next()
        }
      }
      const failure = new RangeError('mine')
      class Broken {
        constructor() {
          throw failure
        }
        invoke(): void {}
      }
      const app = createApp()
      app.use(Layer as never, ...(['option'] as never[]))
      app.use(() => 'x')
      await app.invoke(root)
      await app.invoke(root)
      assert.deepEqual(made, [[app, 'option']])
      assert.throws(
        () => createApp().use(Broken),
        error => error === failure
      )
    }
  },
  {
    number: 4,
    name: 'A function of one parameter is called per request, never at use time.',
    run: async () => {
      let calls = 0
      const app = createApp().use(context => {
        calls++
        return context['iopa.Path']
      })
      assert.equal(calls, 0)
      await app.invoke(root)
      await app.invoke(root)
      assert.equal(calls, 2)
    }
  },
  {
    number: 5,
    name: 'Behaviour does not depend on parameter names or on minification.',
    run: async () => {
      const forms = ['(context, next) => next()', '(a, b) => b()', 'function (n, c) { return c() }', '(...x) => x[1]()', '(app, next = 0) => next()']
      for (const form of forms) {
        const layer = new Function(`return ${form}`)() as MiddlewareFunction
        const answer = await createApp()
          .use(layer)
          .use(() => 'reached')
          .invoke(root)
        assert.equal(await answer.text(), 'reached', form)
      }
    }
  },
  {
    number: 6,
    name: 'The value returned by the innermost handler reaches the caller of invoke.',
    run: async () => {
      const value = { deep: [1] }
      const app = createApp()
        .use((_, next) => next())
        .use(async (_, next) => {
          await next()
        })
        .use(async () => value)
      assert.equal(valueIn(await app.invoke(root)), value)
      const passing = createApp()
        .use((_, next) => next())
        .use(() => value)
      await using context = passing.create(root)
      assert.equal(await passing.build()(context), value)
    }
  },
  {
    number: 7,
    name: 'A synchronous throw and an async rejection both surface as one rejection of the pipeline.',
    run: async () => {
      const failure = new Error('mine')
      const fails: MiddlewareFunction[] = [
        () => {
          throw failure
        },
        () => Promise.reject(failure)
      ]
      for (const fail of fails) {
        const app = createApp({ logger: false })
          .use((_, next) => next())
          .use(fail)
        const context = app.create(root)
        await assert.rejects(
          () => app.build()(context),
          error => error === failure
        )
        await context.end()
        assert.equal((await app.invoke(root)).status, 500)
      }
    }
  },
  {
    number: 8,
    name: 'Calling next twice rejects, and the inner pipeline runs once.',
    run: async () => {
      let ran = 0
      let second: unknown
      await createApp()
        .use(async (_, next) => {
          await next()
          second = await next().catch((error: unknown) => error)
        })
        .use(() => void ran++)
        .invoke(root)
      assert.ok(second instanceof Error)
      assert.equal(ran, 1)
    }
  },
  {
    number: 9,
    name: 'next.invoke(other) runs only the remaining middleware, with other, and leaves the first context untouched.',
    run: async () => {
      const seen: string[] = []
      let outer = 0
      const app = createApp()
        .use(async (context, next) => {
          outer++
          await using other = context.child('other')
          return next.invoke(other)
        })
        .use(context => {
          seen.push(context['iopa.Path'])
          context.response.status = 201
          return 'inner'
        })
      const answer = await app.invoke({ 'iopa.Path': '/first' })
      assert.deepEqual([outer, seen, answer.status, await answer.text()], [1, ['/first/other'], 200, 'inner'])
    }
  },
  {
    number: 10,
    name: 'dispatch runs in reverse registration order, and the same for every client.',
    run: async () => {
      const { memory } = await import('../memory-transport.ts')
      const order: string[] = []
      const layer = (name: string) => ({
        dispatch: (_: Context, next: Next): unknown => {
          order.push(name)
          return next()
        }
      })
      const app = createApp()
        .use(memory())
        .use(layer('first'))
        .use(layer('second'))
        .use(() => 'x')
      await app.listen()
      for (let time = 0; time < 2; time++) {
        const client = await app.connect('memory://app')
        await client.get('/')
        await client.close()
      }
      await app.close()
      assert.deepEqual(order, ['second', 'first', 'second', 'first'])
    }
  },
  {
    number: 11,
    name: 'invoke before an explicit build builds once; use after build is refused.',
    run: async () => {
      const app = createApp().use(() => 'x')
      assert.equal(await (await app.invoke(root)).text(), 'x')
      assert.throws(() => app.use(() => 'y'), Error)
      assert.equal(await (await app.invoke(root)).text(), 'x')
    }
  },
  {
    number: 12,
    name: 'Two apps share no state.',
    run: async () => {
      const one = createApp().mount('/a', () => 'one')
      const two = createApp()
      one.capabilities['urn:acme:x'] = { a: 1 }
      assert.equal(await (await one.invoke({ 'iopa.Path': '/a' })).text(), 'one')
      const answer = await two.invoke({ 'iopa.Path': '/a' })
      assert.deepEqual([answer.status, (answer.error as IopaError).code, two.capabilities['urn:acme:x'], two.live], [404, 'no-route', undefined, 0])
    }
  },
  {
    number: 13,
    name: 'Nothing global changes: no process listeners, no patched prototypes, no replaced globals.',
    run: async () => {
      const picture = () => [
        globalThis.process?.eventNames().map(String),
        Object.getOwnPropertyNames(globalThis).length,
        ...[Object, Array, Function, Promise, String, Map, EventTarget, AbortController].map(type => Reflect.ownKeys(type.prototype).length)
      ]
      const before = picture()
      const app = createApp().use(() => 'x')
      await app.invoke(root)
      await app.close()
      assert.deepEqual(picture(), before)
    }
  }
]
