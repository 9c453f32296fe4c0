import { SCOPE, Scope } from '@iopa/context/host'
import { describe, expect, test } from 'vitest'
import { bench, request } from './environment.ts'

describe('a scope', () => {
  test('runs disposers once, in reverse, with the reason', async () => {
    const { environment } = bench()
    const scope = new Scope(environment, null)
    const ran: string[] = []
    scope.defer(reason => void ran.push(`first ${reason}`))
    scope.defer(async () => void ran.push('second'))
    scope.own({ close: () => ran.push('closed') })
    scope.own({ [Symbol.dispose]: () => void ran.push('disposed') })
    const ending = scope.end('timeout')
    expect(scope.end('finish')).toBe(ending)
    await ending
    await scope.end()
    expect(ran).toEqual(['disposed', 'closed', 'second', 'first timeout'])
  })

  test('ends synchronously where no disposer is asynchronous', () => {
    const scope = new Scope(bench().environment, null)
    scope.defer(() => undefined)
    expect(scope.end()).toBeUndefined()
    expect(scope.ended).toBe(true)
  })

  test('ends its children first, the youngest first, and waits for them', async () => {
    const { environment } = bench()
    const parent = new Scope(environment, null)
    const ran: string[] = []
    for (const name of ['a', 'b', 'c']) new Scope(environment, parent).defer(async () => void (await null, ran.push(name)))
    parent.defer(() => void ran.push('parent'))
    await parent.end('shutdown')
    expect(ran).toEqual(['c', 'b', 'a', 'parent'])
  })

  test('waits for children that began to end by themselves, and for no longer than they take', async () => {
    const { environment } = bench()
    const parent = new Scope(environment, null)
    const ran: string[] = []
    let finish = (): void => undefined
    const child = new Scope(environment, parent)
    child.defer(() => new Promise<void>(resolve => (finish = resolve)).then(() => void ran.push('child')))
    parent.defer(() => void ran.push('parent'))
    void child.end()
    const ending = parent.end('shutdown')
    await null
    expect(ran).toEqual([])
    finish()
    await ending
    expect(ran).toEqual(['child', 'parent'])

    const other = new Scope(environment, null)
    const early = new Scope(environment, other)
    early.defer(async () => undefined)
    await early.end()
    expect(other.end()).toBeUndefined()
  })

  test('forgets a child that has ended, wherever it stands among its siblings', () => {
    const { environment } = bench()
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0]
    ]) {
      const parent = new Scope(environment, null)
      const ended: number[] = []
      const children = [0, 1, 2].map(index => {
        const child = new Scope(environment, parent)
        child.defer(() => void ended.push(index))
        return child
      })
      for (const index of order.slice(0, 2)) void children[index]?.end()
      void parent.end()
      expect(ended).toEqual(order)
    }
  })

  test('makes a signal only when asked, and aborts it with the reason as code', () => {
    const { factory } = bench()
    const context = request(factory)
    const signal = context.signal
    expect(signal.aborted).toBe(false)
    void context.end('disconnect')
    expect([signal.aborted, signal.reason.code, signal.reason.name]).toEqual([true, 'disconnect', 'IopaError'])
    const late = request(factory)
    void late.end()
    expect([late.signal.aborted, late.signal.reason.code]).toEqual([true, 'finish'])
  })

  test('aborts the signals of its children with its own reason', () => {
    const parent = request(bench().factory)
    const signal = parent.child('x').signal
    void parent.end('timeout')
    expect(signal.reason.code).toBe('timeout')
  })

  test('logs a disposer that fails, and runs the others', async () => {
    const { environment, errors } = bench()
    const scope = new Scope(environment, null)
    const ran: string[] = []
    scope.defer(() => void ran.push('last'))
    scope.defer(() => Promise.reject(new Error('async')))
    scope.defer(() => {
      throw new Error('sync')
    })
    await scope.end()
    expect(ran).toEqual(['last'])
    expect(errors.map(([, error]) => (error as Error).message)).toEqual(['sync', 'async'])
  })

  test('runs a disposer at once that comes too late', () => {
    const scope = new Scope(bench().environment, null)
    void scope.end()
    let ran = false
    scope.defer(() => {
      ran = true
    })
    expect(ran).toBe(true)
  })

  test('is born ended under a parent that has ended', () => {
    const { factory } = bench()
    const parent = request(factory)
    const keep = parent as unknown as Scope
    void parent.end('shutdown')
    const child = request(factory, '/x', null, keep as never)
    expect([child.ended, child.endReason, factory.live]).toEqual([true, 'shutdown', 0])
  })

  test('ends for the planned reason when it is ended without one', () => {
    const context = request(bench().factory)
    context.planEnd('timeout')
    void context.end()
    expect(context.endReason).toBe('timeout')
  })

  test('tells once that its end is asked for, also while that is put off', () => {
    const heard: string[] = []
    for (const held of [true, false]) {
      const context = request(bench().factory)
      if (held) context[SCOPE].hold(() => heard.push('holder'))
      context.onEndAsked(() => heard.push(`${held} ${context.ended}`))
      void context.end('disconnect')
      context.onEndAsked(() => heard.push('late'))
      void context.end('timeout')
      context[SCOPE].release()
      expect(context.endReason).toBe('disconnect')
    }
    expect(heard).toEqual(['holder', 'true false', 'late', 'false true', 'late'])
  })

  test('does not call its holder once it has been released', () => {
    const heard: string[] = []
    const context = request(bench().factory)
    context[SCOPE].hold(() => heard.push('holder'))
    context[SCOPE].release()
    void context.end()
    expect([context.ended, heard]).toEqual([true, []])
  })

  test('dispatches finish or disconnect on the events of its context', () => {
    const { factory } = bench()
    const heard: string[] = []
    for (const reason of ['finish', 'disconnect'] as const) {
      const context = request(factory)
      context['iopa.Events'].addEventListener(reason, event => heard.push(event.type))
      void context.end(reason)
    }
    expect(heard).toEqual(['finish', 'disconnect'])
  })

  test('ends at the end of an await using block, whatever happens in it', async () => {
    const { factory } = bench()
    const run = async (fail: boolean): Promise<void> => {
      await using context = request(factory)
      if (fail) throw new Error(String(context))
    }
    await run(false)
    await expect(run(true)).rejects.toThrow('GET /a')
    expect(factory.live).toBe(0)
  })
})
