import { IopaError } from '@iopa/appbuilder'

/** A mistake in how a route is declared: thrown at registration, never while a request is routed. */
export const routeError = (code: string, detail: string, place: () => string = () => ''): IopaError => {
  const where = place()
  return new IopaError(500, code, where === '' ? detail : `${detail} (${where})`)
}
