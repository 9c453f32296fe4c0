import { IopaError } from '@iopa/constants'
import type { BaseContext } from '@iopa/context'
import { argumentError, kindOf } from '@iopa/transport/host'
import { isThenable } from '../pipeline/compose.ts'
import type { MiddlewareFunction } from '../pipeline/middleware.ts'
import { mountPrefix } from '../pipeline/mount.ts'
import { declarationsOf } from './declarations.ts'
import { entryOf, isExtension, isTransport, type PipelineEntry } from './entries.ts'
import { type NestedApp, nestedApp } from './nested-app.ts'

/** The entry of `mount(path, handler)`. @throws IopaError 500 that says what to write instead, with the line of the call. */
export const mountEntry = (
  path: unknown,
  handler: unknown,
  at: { readonly position: number; readonly caller: unknown; readonly app: unknown }
): PipelineEntry => {
  let prefix: string
  try {
    prefix = mountPrefix(path)
  } catch (error) {
    throw argumentError(at.caller, 'bad-mount', `mount() cannot take the path ${JSON.stringify(path)}: ${(error as Error).message}`)
  }
  if (isTransport(handler)) throw argumentError(at.caller, 'bad-mount', `mount() does not take the transport '${handler.name}': write use().`)
  if (isExtension(handler) && nestedApp(handler) === undefined)
    throw argumentError(
      at.caller,
      'bad-mount',
      `mount() does not take '${handler.name}', which adds methods to an app: mount new App().use(${handler.name}()).`
    )
  const entry = entryOf(handler, { kind: 'mount', prefix, options: [], ...at })
  if (entry.invoke === undefined) throw argumentError(at.caller, 'bad-middleware', 'mount() takes an app, or middleware with invoke.')
  return entry
}

const isAsyncFunction = (value: unknown): boolean => Object.prototype.toString.call(value) === '[object AsyncFunction]'

const asyncCondition = (): IopaError =>
  new IopaError(500, 'async-condition', 'The condition of a fork gave a promise, which is always true: let it return true or false at once.')

/** The entry of `fork(when, build)`; `makeBranch` makes the app that `build` fills. @throws IopaError 500 with the line of the call. */
export const forkEntry = <Branch>(
  when: (context: BaseContext) => boolean,
  build: (branch: Branch) => unknown,
  makeBranch: () => Branch,
  position: number,
  caller: unknown
): PipelineEntry => {
  if (typeof when !== 'function' || typeof build !== 'function')
    throw argumentError(
      caller,
      'bad-fork',
      `fork() takes two functions, (context) => boolean and (branch) => ..., not ${kindOf(typeof when === 'function' ? build : when)}.`
    )
  if (isAsyncFunction(when)) throw argumentError(caller, 'async-condition', asyncCondition().detail)
  const branch = makeBranch()
  if (isThenable(build(branch)))
    throw argumentError(caller, 'bad-fork', 'The function that builds the branch of a fork gave a promise: add everything before it returns.')
  const app = nestedApp(branch) as NestedApp
  const inside = app.pipelineWithin(true)
  const invoke: MiddlewareFunction = (context, next) => {
    const chosen: unknown = when(context)
    if (isThenable(chosen)) {
      // Its failure is nothing that could be told twice.
      Promise.resolve(chosen).catch(() => undefined)
      throw asyncCondition()
    }
    return chosen ? inside(context, next) : next()
  }
  const name = `fork ${position}`
  return {
    ...declarationsOf({}, name),
    kind: 'fork',
    label: `'${name}'`,
    prefix: '',
    app,
    answers: false,
    invoke,
    dispatch: undefined,
    routes: undefined
  }
}
