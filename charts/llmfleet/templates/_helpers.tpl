{{- /* Name of every object of the release; the release's own name where that says it already. */ -}}
{{- define "llmfleet.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "llmfleet.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "llmfleet.labels" -}}
{{ include "llmfleet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "llmfleet.certificateSecret" -}}
{{ include "llmfleet.name" . }}-certificate
{{- end -}}

{{- /* One adapter serves custom.metrics.k8s.io: clients choose one version of the group, so a second one would take the first one's HPAs away. */ -}}
{{- define "llmfleet.refuseSecondMetricsAdapter" -}}
{{- range (lookup "apiregistration.k8s.io/v1" "APIService" "" "").items -}}
{{- if eq (get .spec "group") "custom.metrics.k8s.io" -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $release := printf "%s/%s" (get $annotations "meta.helm.sh/release-namespace") (get $annotations "meta.helm.sh/release-name") -}}
{{- if ne $release (printf "%s/%s" $.Release.Namespace $.Release.Name) -}}
{{- $server := "the API server itself" -}}
{{- with .spec.service }}{{ $server = printf "Service %s/%s" .namespace .name }}{{ end -}}
{{- fail (printf "\n\nAPIService %s exists and is not of this release (served by %s): another adapter answers for custom.metrics.k8s.io, and a second one would take its HPAs away.\nEither install without autoscaling:  --set metricsApi.enabled=false\nor remove the other adapter first:  kubectl delete apiservice %s\n" .metadata.name $server .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
