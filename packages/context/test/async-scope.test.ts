import { AsyncLocalStorage } from 'node:async_hooks'
import { CodecTable } from '@iopa/constants'
import { applyValue, sealAnswer } from '@iopa/context/host'
import { describe, expect, test } from 'vitest'
import { bench, request } from './environment.ts'

const storage = new AsyncLocalStorage<string>()
const seen: (string | undefined)[] = []
const look = (): void => void seen.push(storage.getStore())

describe.skipIf(process.getBuiltinModule === undefined)('what a request registers runs in its asynchronous context', () => {
  test('deferred functions, listeners of the signal and events, and callbacks before the head', async () => {
    const context = request(bench().factory)
    storage.run('request', () => {
      context.defer(look)
      context.own({ close: look })
      context.signal.addEventListener('abort', look)
      context['iopa.Events'].addEventListener('disconnect', look)
      context.onSendingHeaders(look)
    })
    await storage.run('transport', async () => {
      context.response.body = 'x'
      await sealAnswer(context.response, new CodecTable())
      await context.end('disconnect')
    })
    expect(seen.splice(0)).toEqual(Array(5).fill('request'))
  })

  test.each<[string, () => unknown]>([
    [
      'generators',
      function* () {
        look()
        yield 'a'
        look()
      }
    ],
    [
      'async generators',
      async function* () {
        look()
        yield 'a'
        look()
      }
    ],
    [
      'web streams',
      () =>
        new ReadableStream(
          {
            pull: controller => {
              look()
              if (seen.length > 1) controller.close()
              else controller.enqueue('a')
            }
          },
          { highWaterMark: 0 }
        )
    ]
  ])('%s', async (_, make) => {
    const context = request(bench().factory)
    storage.run('request', () => applyValue(context.response, make()))
    await storage.run('transport', async () => {
      // A synchronous generator is looked at when the answer is sealed, which a host does within the request.
      await storage.run('request', async () => sealAnswer(context.response, new CodecTable()))
      expect(await context.response.text()).toBe('a')
    })
    expect(seen.splice(0)).toEqual(['request', 'request'])
  })

  test('the end of a generator that was given up', async () => {
    const context = request(bench().factory)
    storage.run('request', () => {
      context.response.body = (async function* () {
        try {
          yield 'a'
          yield 'b'
        } finally {
          look()
        }
      })()
    })
    await storage.run('transport', async () => {
      void sealAnswer(context.response, new CodecTable())
      const iterator = (context.response.payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
      await iterator.next()
      await context.end('disconnect')
    })
    expect(seen.splice(0)).toEqual(['request'])
  })
})
