from archive import views
from django.urls import path

urlpatterns = [
    path("healthz", views.health),
    path("documents", views.documents),
]
