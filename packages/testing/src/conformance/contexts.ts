import assert from 'node:assert/strict'
import type { Context } from '@iopa/appbuilder'
import type { IopaError } from '@iopa/transport'
import { type ConformanceStatement, type ConformanceSubject, valueIn } from './statement.ts'

const root = { 'iopa.Method': 'GET', 'iopa.Path': '/' }
const bagOf = (context: Context): Record<string, unknown> => context as unknown as Record<string, unknown>

/** Statements 14 to 22: the context, its scope, its headers. */
export const contextStatements = ({ createApp }: ConformanceSubject): ConformanceStatement[] => [
  {
    number: 14,
    name: 'A context always has a version, an id unique within the app, events, a call-cancelled signal and capabilities.',
    run: async () => {
      const app = createApp()
      const contexts = Array.from({ length: 5 }, () => app.create(root))
      for (const context of contexts) {
        assert.equal(context['iopa.Version'], '5.0')
        assert.equal(typeof context['iopa.Events'].addEventListener, 'function')
        assert.equal(context['iopa.CallCancelled'].aborted, false)
        assert.ok(context['server.Capabilities']['urn:io.iopa:app'])
      }
      assert.equal(new Set(contexts.map(context => context['iopa.Id'])).size, 5)
      for (const context of contexts) await context.end()
    }
  },
  {
    number: 15,
    name: 'A write to capabilities at level 1 or 2 is invisible to the app and to other requests; level 3 objects are shared.',
    run: async () => {
      const app = createApp()
      const deep = { shared: 0 }
      app.capabilities['urn:acme:x'] = { level2: 1, deep }
      await using one = app.create(root)
      await using two = app.create(root)
      const own = one['server.Capabilities']
      own['urn:acme:new'] = {}
      ;(own['urn:acme:x'] as Record<string, unknown>)['level2'] = 2
      ;(own['urn:acme:x'] as { deep: { shared: number } }).deep.shared = 3
      assert.deepEqual(two['server.Capabilities']['urn:acme:x'], { level2: 1, deep: { shared: 3 } })
      assert.deepEqual([app.capabilities['urn:acme:new'], app.capabilities['urn:acme:x']?.['level2'], deep.shared], [undefined, 1, 3])
    }
  },
  {
    number: 16,
    name: 'A capability registered at startup is visible in every context, its response and its children.',
    run: async () => {
      const app = createApp()
      app.capabilities['urn:acme:x'] = { version: '1' }
      await using context = app.create(root)
      await using child = context.child('x')
      for (const place of [context, context.response, child]) assert.deepEqual(place['server.Capabilities']['urn:acme:x'], { version: '1' })
    }
  },
  {
    number: 17,
    name: 'using disposes after success, after rejection and after a synchronous throw; the value or error is passed through.',
    run: async () => {
      const app = createApp()
      let disposed = 0
      const use = async (run: () => unknown): Promise<unknown> => {
        await using context = app.create(root)
        context.defer(() => void disposed++)
        return await run()
      }
      const failure = new Error('mine')
      assert.equal(await use(() => 'value'), 'value')
      await assert.rejects(
        use(() => Promise.reject(failure)),
        error => error === failure
      )
      await assert.rejects(
        use(() => {
          throw failure
        }),
        error => error === failure
      )
      assert.deepEqual([disposed, app.live], [3, 0])
    }
  },
  {
    number: 18,
    name: 'Disposing is idempotent, aborts the signal with reason finish and disposes live children.',
    run: async () => {
      const app = createApp()
      const context = app.create(root)
      const child = context.child('x')
      let disposed = 0
      child.defer(() => void disposed++)
      const signal = context['iopa.CallCancelled']
      await context.end()
      await context.end('disconnect')
      await context[Symbol.asyncDispose]()
      assert.deepEqual([signal.aborted, (signal.reason as IopaError).code, child.ended, disposed, app.live], [true, 'finish', true, 1, 0])
    }
  },
  {
    number: 19,
    name: 'After disposal a kept reference can never observe or alter another request.',
    run: async () => {
      const kept: Context[] = []
      const app = createApp().use(context => {
        kept.push(context)
        context.response.headers.set('x-path', context['iopa.Path'])
        bagOf(context)['acme.Secret'] = context['iopa.Path']
        return context['iopa.Path']
      })
      await app.invoke({ 'iopa.Path': '/one' })
      const first = kept[0] as Context
      const answers = await Promise.all(['/two', '/three'].map(path => app.invoke({ 'iopa.Path': path })))
      assert.deepEqual([first['iopa.Path'], first.response.headers.get('x-path')], ['/one', '/one'])
      assert.deepEqual(
        answers.map(answer => [valueIn(answer), answer.headers.get('x-path')]),
        [
          ['/two', '/two'],
          ['/three', '/three']
        ]
      )
      assert.throws(() => first.response.headers.set('x-path', '/hijacked'), Error)
      assert.throws(() => first.child('x'), Error)
      assert.equal(new Set(kept).size, 3)
    }
  },
  {
    number: 20,
    name: 'A child inherits scheme, host, port, session, transport and capabilities; its path is parent path + child path; its parent is set.',
    run: async () => {
      const app = createApp()
      await using parent = app.create({ ...root, 'iopa.Path': '/a', 'iopa.Host': 'h', 'iopa.Port': 7 })
      ;(parent['server.Capabilities'] as Record<string, unknown>)['urn:acme:mine'] = { a: 1 }
      await using child = parent.child('b/c', 'PUT')
      for (const key of ['iopa.Scheme', 'iopa.Host', 'iopa.Port', 'server.SessionId', 'server.RawTransport'] as const)
        assert.equal(child[key], parent[key])
      assert.deepEqual([child['iopa.Path'], child['iopa.Method'], child['server.ParentContext']], ['/a/b/c', 'PUT', parent])
      assert.deepEqual(child['server.Capabilities']['urn:acme:mine'], { a: 1 })
    }
  },
  {
    number: 21,
    name: 'Headers compare without regard to case; get, has and delete take any case; several values survive unmerged.',
    run: async () => {
      await using context = createApp().create(root)
      const headers = context.response['iopa.Headers']
      headers.set('content-type', 'a')
      headers.set('Content-Type', 'b')
      assert.deepEqual([...headers], [['Content-Type', 'b']])
      headers.append('Set-Cookie', 'a=1, b')
      headers.append('set-cookie', 'c=2')
      assert.deepEqual([headers.has('SET-COOKIE'), headers.getAll('set-COOKIE')], [true, ['a=1, b', 'c=2']])
      assert.deepEqual([headers.delete('SET-cookie'), headers.has('set-cookie')], [true, false])
    }
  },
  {
    number: 22,
    name: 'All keys that are no headers are case-sensitive.',
    run: async () => {
      await using context = createApp().create(root)
      const bag = bagOf(context)
      bag['acme.Key'] = 1
      assert.deepEqual([bag['acme.key'], bag['iopa.method'], bag['IOPA.Method'], bag['iopa.Method']], [undefined, undefined, undefined, 'GET'])
    }
  }
]
