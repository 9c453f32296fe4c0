import type { Context } from '@iopa/appbuilder'
import type { Patch, ResourceContract } from '@iopa/appbuilder/extension'
import { IopaError, METHODS, withOrigin } from '@iopa/constants'
import { isReply } from '@iopa/context'
import { KIND, kindOf } from '@iopa/context/host'
import { takeParts } from '../parts.ts'
import { type Handler, partsOfMethod, type Serving } from '../served-method.ts'
import { ServedRequest } from '../served-request.ts'

/** Kinds of what GET can answer with as a state. */
const STATES: readonly number[] = [KIND.Value, KIND.Text]

/** A handler as the app was given it. */
type ResourceHandler = (request: ServedRequest) => unknown

/** Serves PATCH by the handlers of GET and PUT: it reads the state, applies the patch, and puts the outcome. */
export const patchedState = (contract: ResourceContract, get: ResourceHandler, put: ResourceHandler, serving: Serving): Handler => {
  const { pattern, methods } = contract
  const reading = partsOfMethod(contract, METHODS.GET, methods[METHODS.GET] ?? {}, serving)
  // The body is the patch; what it makes of the state is the input.
  const { input: _, ...writing } = methods[METHODS.PUT] ?? {}
  const writingParts = partsOfMethod(contract, METHODS.PUT, writing, serving)

  const read = async (context: Context): Promise<unknown> => {
    // GET has an answer of its own: what it sets there is not for the answer to PATCH.
    const child = context.child('', METHODS.GET)
    // As for a precondition: what GET asks for in its query is not asked of PATCH.
    child['server.IsPrecondition'] = true
    try {
      child['iopa.Params'] = context['iopa.Params']
      child['iopa.QueryString'] = context['iopa.QueryString']
      child['iopa.Headers'] = context.headers
      const value = await get(await takeParts(reading, new ServedRequest(child)))
      const replied = typeof value === 'object' && value !== null && isReply(value) ? value : undefined
      const status = replied?.status ?? (value === undefined && child.response.body === undefined ? child.response.status : 200)
      if (status === 404 || status === 410) throw new IopaError(404, 'not-found', 'There is no state to patch here: PUT creates it.')
      const state = value === undefined ? child.response.body : replied === undefined ? value : replied.body
      if (status < 200 || status > 299 || state === undefined || !STATES.includes(kindOf(state)))
        throw withOrigin(
          new IopaError(500, 'no-state', `GET ${pattern} gives no state that PATCH could change: give PATCH a handler of its own.`),
          'internal'
        )
      return state
    } finally {
      await (child as Context)[Symbol.asyncDispose]()
    }
  }

  return async request => {
    const { context, input } = request
    const state = await (input as Patch<unknown>).apply(await read(context))
    const change = await takeParts(writingParts, new ServedRequest(context))
    change.input = state
    context['iopa.Input'] = state
    return put(change)
  }
}
